/**
 * One file from the hub: received into `<name>.part`, resumed from there after any interruption, compared to
 * the hub's checksum, and only then given its name. So a file with its name is a good file.
 */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileDownloadInfo, HubApiError } from '@huggingface/hub';
import { checksumOf, fileSize } from './checksum.ts';
import { ConnectionClosedError, DownloadError } from './errors.ts';
import { clientOptions, type HubAccess, type HubFile } from './hub.ts';
import type { ProgressMeter } from './progress.ts';
import { retry } from './retry.ts';

export interface FileRequest {
  id: string;
  commit: string;
  file: HubFile;
  outDir: string;
  access: HubAccess;
  meter: ProgressMeter;
}

/** Where a file is received. */
export function partPath(outDir: string, path: string): string {
  return `${join(outDir, path)}.part`;
}

/** Whether a file on disk is the hub's, byte for byte. */
export async function isComplete(
  path: string,
  request: Pick<FileRequest, 'file' | 'access' | 'meter'>,
): Promise<boolean> {
  const { file, access, meter } = request;
  if ((await fileSize(path)) !== file.size) return false;
  const onBytes = (hashed: number) => meter.verifying(file.path, file.size, hashed, file.size);
  return (
    (await checksumOf(path, file.size, file.checksum.kind, onBytes, access.signal)) === file.checksum.hex
  );
}

/**
 * Downloads one file.
 * @throws DownloadError if a file received afresh does not have the hub's checksum; HubApiError and network
 * errors that outlast the retries.
 */
export async function fetchFile(request: FileRequest): Promise<void> {
  const { file, outDir, access } = request;
  const target = join(outDir, file.path);
  const part = partPath(outDir, file.path);
  await mkdir(dirname(target), { recursive: true });
  for (;;) {
    if (((await fileSize(part)) ?? 0) > file.size) await rm(part);
    const resumed = ((await fileSize(part)) ?? 0) > 0;
    let reached = 0;
    const receive = () => receiveRest(request, part, (bytes) => (reached = Math.max(reached, bytes)));
    await retry(receive, access.signal, () => reached);
    if (await isComplete(part, request)) break;
    await rm(part);
    // A resumed part may be of another revision or damaged on disk: that deserves one fresh start.
    if (resumed) continue;
    const { kind, hex } = file.checksum;
    throw new DownloadError(
      'checksum-mismatch',
      `${file.path}: the received bytes do not have the hub's ${kind} ${hex}; run the same command again`,
      { file: file.path, expected: hex },
    );
  }
  await rename(part, target);
}

/** Appends what is missing to the part file. */
async function receiveRest(
  request: FileRequest,
  part: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { file, meter } = request;
  const handle = await open(part, 'a');
  try {
    let have = (await handle.stat()).size;
    // Nothing to ask for in an empty file, and servers refuse a range of nothing.
    if (have === file.size) return;
    const response = await requestFrom(request, have);
    if (response.status === 200 && have > 0) {
      // The server ignored Range and sends the file from its start.
      await handle.truncate(0);
      have = 0;
    }
    for await (const piece of response.body!) {
      if (have + piece.byteLength > file.size) {
        throw new DownloadError(
          'hub-answer',
          `${file.path}: the server sends more than the ${file.size} bytes listed`,
        );
      }
      await handle.writeFile(piece);
      have += piece.byteLength;
      onBytes(have);
      meter.received(file.path, file.size, have, piece.byteLength);
    }
    if (have < file.size) throw new ConnectionClosedError(`closed after ${have} of ${file.size} bytes`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function requestFrom({ id, commit, file, access }: FileRequest, offset: number): Promise<Response> {
  const options = clientOptions(access);
  const info = await fileDownloadInfo({
    repo: { type: 'model', name: id },
    path: file.path.split('/').map(encodeURIComponent).join('/'),
    revision: commit,
    ...options,
  });
  if (!info) throw new HubApiError(file.path, 404);
  const headers = new Headers({ Range: `bytes=${offset}-`, 'Accept-Encoding': 'identity' });
  // The token is for the hub alone, not for the storage it may point to.
  if (access.token && new URL(info.url).origin === new URL(access.endpoint).origin) {
    headers.set('Authorization', `Bearer ${access.token}`);
  }
  const response = await options.fetch(info.url, { headers });
  const range = response.headers.get('content-range');
  if (response.status === 200 || (response.status === 206 && range?.startsWith(`bytes ${offset}-`)))
    return response;
  await response.body?.cancel();
  if (response.status !== 206) throw new HubApiError(info.url, response.status);
  throw new DownloadError(
    'hub-answer',
    `${file.path}: bytes from ${offset} were asked for, the server sent ${range}`,
  );
}
