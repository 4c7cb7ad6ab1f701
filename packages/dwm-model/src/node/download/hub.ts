/** One model on the hub at one commit: its files with sizes and checksums, all checked before use. */
import { InvalidArgumentError, staysInside } from '@dwm/core-tensor';
import { type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import type { Checksum } from './checksum.ts';
import { DownloadError } from './errors.ts';
import { retry } from './retry.ts';

/** Where to ask, and as whom. */
export interface HubAccess {
  /** E.g. `https://huggingface.co`, without a slash at the end. */
  endpoint: string;
  token?: string;
  signal?: AbortSignal;
}

export interface HubFile {
  path: string;
  size: number;
  checksum: Checksum;
}

/**
 * HF_ENDPOINT (a mirror) and HF_TOKEN (for private and gated models), as the hub's other tools read them.
 * @throws InvalidArgumentError if one of them cannot be right.
 */
export function hubAccess(signal?: AbortSignal): HubAccess {
  const endpoint = (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) {
    throw new InvalidArgumentError(
      'HF_ENDPOINT',
      `expected an address such as https://huggingface.co, got ${endpoint}`,
    );
  }
  const token = process.env.HF_TOKEN?.trim() || undefined;
  if (token && !token.startsWith('hf_')) {
    throw new InvalidArgumentError(
      'HF_TOKEN',
      'expected a token that starts with "hf_"; unset it or copy it again',
    );
  }
  return { endpoint, token, signal };
}

/** Arguments that every call of the hub's client takes. */
export function clientOptions({ endpoint, token, signal }: HubAccess) {
  const abortable: typeof fetch = (input, init) => fetch(input, { ...init, signal });
  return { hubUrl: endpoint, fetch: abortable, ...(token ? { accessToken: token } : {}) };
}

/**
 * The commit that `revision` (branch, tag or commit) stands for, and its files. Everything is then downloaded
 * at that commit, so a push in the middle cannot mix two versions.
 * @throws HubApiError, DownloadError on an answer that makes no sense or a name that would leave the folder.
 */
export async function listModel(
  id: string,
  revision: string,
  access: HubAccess,
): Promise<{ commit: string; files: HubFile[] }> {
  const options = clientOptions(access);
  const info = () => modelInfo({ name: id, revision, additionalFields: ['sha'], ...options });
  const { sha: commit } = await retry(info, access.signal);
  if (!/^[0-9a-f]{40}$/.test(commit))
    throw nonsense(id, `commit ${JSON.stringify(commit)}, expected 40 hex digits`);

  const list = async () => {
    const entries: ListFileEntry[] = [];
    const repo = { type: 'model', name: id } as const;
    for await (const entry of listFiles({ repo, recursive: true, revision: commit, ...options }))
      entries.push(entry);
    return entries;
  };
  const entries = await retry(list, access.signal);
  return {
    commit,
    files: entries.filter(({ type }) => type === 'file').map((entry) => checkEntry(id, entry)),
  };
}

function nonsense(id: string, problem: string): DownloadError {
  return new DownloadError('hub-answer', `${id}: the hub's answer makes no sense: ${problem}`);
}

function checkEntry(id: string, { path, size: listedSize, oid, lfs }: ListFileEntry): HubFile {
  if (typeof path !== 'string' || !staysInside(path)) {
    throw nonsense(id, `file name ${JSON.stringify(path)} would leave the output folder`);
  }
  const size = lfs?.size ?? listedSize;
  const checksum: Checksum = lfs
    ? { kind: 'sha256', hex: String(lfs.oid) }
    : { kind: 'git-blob-sha1', hex: String(oid) };
  const digits = lfs ? 64 : 40;
  if (!Number.isSafeInteger(size) || size < 0) throw nonsense(id, `${path} has size ${size}`);
  if (checksum.hex.length !== digits || !/^[0-9a-f]+$/.test(checksum.hex)) {
    throw nonsense(id, `${path} has checksum ${JSON.stringify(checksum.hex)}, expected ${digits} hex digits`);
  }
  return { path, size, checksum };
}
