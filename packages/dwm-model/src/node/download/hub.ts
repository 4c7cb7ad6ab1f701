/** One model on the hub at one commit: its files with sizes and checksums, all checked before use. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { quote, staysInside } from '@dwm/core-tensor/files';
import * as z from 'zod';
import type { Checksum } from './checksum.ts';
import { DownloadError, HubStatusError } from './errors.ts';
import { type HubAccess, readText, request } from './request.ts';
import { retry } from './retry.ts';

export interface HubFile {
  path: string;
  size: number;
  checksum: Checksum;
}

/** What the hub's own tools wait. */
const DEFAULT_PATIENCE_SECONDS = 10;

/**
 * HF_ENDPOINT (a mirror), HF_TOKEN (for private and gated models) and HF_HUB_DOWNLOAD_TIMEOUT (seconds), as the
 * hub's other tools read them.
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
  const { username, password, search, hash } = new URL(endpoint);
  if (username || password || search || hash) {
    throw new InvalidArgumentError(
      'HF_ENDPOINT',
      'expected an address alone, such as https://huggingface.co, without user, ? or #; a token goes into HF_TOKEN',
    );
  }
  const token = process.env.HF_TOKEN?.trim() || undefined;
  if (token && !/^hf_[\x21-\x7e]+$/.test(token)) {
    throw new InvalidArgumentError(
      'HF_TOKEN',
      'expected a token that starts with "hf_"; unset it or copy it again',
    );
  }
  const seconds = Number(process.env.HF_HUB_DOWNLOAD_TIMEOUT || DEFAULT_PATIENCE_SECONDS);
  if (!(seconds > 0 && seconds <= 3600)) {
    throw new InvalidArgumentError('HF_HUB_DOWNLOAD_TIMEOUT', 'expected seconds, at most 3600, such as 60');
  }
  return { endpoint, token, patienceMs: seconds * 1000, signal };
}

/** Pages of a list. The hub puts 1000 files on one; no model has a hundred thousand. */
const MAX_PAGES = 100;

const Revision = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/, 'expected 40 hex digits') });
const hex = (digits: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `expected ${digits} hex digits`);
const size = z.int().nonnegative();
const Listed = z.object({ type: z.string(), path: z.string() });
const SmallFile = z.object({ size, oid: hex(40) });
const LargeFile = z.object({ lfs: z.object({ size, oid: hex(64) }) });

/**
 * The commit that `revision` (branch, tag or commit) stands for, and its files. Everything is then downloaded
 * at that commit, so a push in the middle cannot mix two versions.
 * @throws HubStatusError, DownloadError on an answer that makes no sense or a name that would leave the folder.
 */
export async function listModel(
  id: string,
  revision: string,
  access: HubAccess,
): Promise<{ commit: string; files: HubFile[] }> {
  const api = `${access.endpoint}/api/models/${id}`;
  const info = await retry(
    () => ask(`${api}/revision/${encodeURIComponent(revision)}`, id, access),
    access.signal,
  );
  const { sha: commit } = parse(Revision, info.json, id, 'the commit');

  const files: HubFile[] = [];
  const seen = new Set<string>();
  for (let url: string | undefined = `${api}/tree/${commit}?recursive=true&expand=false`; url; ) {
    if (seen.has(url)) throw nonsense(id, 'its list of files names a page twice');
    if (seen.size === MAX_PAGES) throw nonsense(id, `its list of files has more than ${MAX_PAGES} pages`);
    seen.add(url);
    const page: string = url;
    const { json, next } = await retry(() => ask(page, id, access), access.signal);
    if (!Array.isArray(json)) throw nonsense(id, `its list of files is ${quote(json)}`);
    for (const entry of json) {
      const listed = parse(Listed, entry, id, 'an entry of its list');
      if (listed.type === 'file') files.push(checkEntry(id, listed.path, entry));
    }
    url = next;
  }
  return { commit, files };
}

/** One answer of the hub's API. @throws DownloadError if it is no JSON, or its next page is on another host. */
async function ask(url: string, id: string, access: HubAccess): Promise<{ json: unknown; next?: string }> {
  const answer = await request(url, access, { headers: { Accept: 'application/json' }, stayOnHub: true });
  const text = await readText(answer);
  if (answer.status !== 200) throw new HubStatusError(answer.url, answer.status);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new DownloadError(
      'hub-answer',
      `${id}: ${access.endpoint} does not answer as the hub does (no JSON); check HF_ENDPOINT`,
    );
  }
  const [, link] = /<([^<>]+)>\s*;[^,]*\brel="?next"?/.exec(answer.headers.get('link') ?? '') ?? [];
  if (link === undefined) return { json };
  if (!URL.canParse(link, answer.url)) throw nonsense(id, `its next page is ${quote(link)}`);
  const next = new URL(link, answer.url);
  if (next.origin !== new URL(access.endpoint).origin)
    throw nonsense(id, `the next page of its list is on another host, ${next.origin}`);
  return { json, next: next.href };
}

function nonsense(id: string, problem: string): DownloadError {
  return new DownloadError('hub-answer', `${id}: the hub's answer makes no sense: ${problem}`);
}

/** @throws DownloadError that says which field of `what` is wrong. */
function parse<T>(schema: z.ZodType<T>, value: unknown, id: string, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue.path.length > 0 ? `, ${issue.path.join('.')}` : '';
  throw nonsense(id, `${what}${field}: ${issue.message.replace(/^Invalid input: /, '')}`);
}

function checkEntry(id: string, path: string, entry: unknown): HubFile {
  if (!staysInside(path)) throw nonsense(id, `file name ${quote(path)} would leave the output folder`);
  if ((entry as { lfs?: unknown }).lfs) {
    const { lfs } = parse(LargeFile, entry, id, path);
    return { path, size: lfs.size, checksum: { kind: 'sha256', hex: lfs.oid } };
  }
  const { size, oid } = parse(SmallFile, entry, id, path);
  return { path, size, checksum: { kind: 'git-blob-sha1', hex: oid } };
}
