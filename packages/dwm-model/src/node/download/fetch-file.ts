/**
 * One file from the hub: received into `<name>.part`, resumed from there after any interruption, compared to
 * the hub's checksum, and only then given its name. So a file with its name is a good file.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { reach } from '@dwm/core-tensor/node';
import { checksumOf, fileSize } from './checksum.ts';
import { ConnectionClosedError, DownloadError, HubStatusError } from './errors.ts';
import type { HubFile } from './hub.ts';
import type { ProgressMeter } from './progress.ts';
import { type Answer, type HubAccess, request } from './request.ts';
import { retry } from './retry.ts';

export interface FileRequest {
  id: string;
  commit: string;
  file: HubFile;
  outDir: string;
  access: HubAccess;
  meter: ProgressMeter;
}

const PART = '.part';

/** Where a file is received. */
export function partPath(outDir: string, path: string): string {
  return join(outDir, path) + PART;
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

/** What a transfer is known by at the server: the next request for the rest of it asks for the same. */
interface Transfer {
  /** Strong ETag of the last answer. */
  etag?: string;
}

/**
 * Downloads one file.
 * @throws DownloadError if a file received afresh does not have the hub's checksum; InvalidFileError where a link
 * would take it out of the output folder; HubStatusError and network errors that outlast the retries.
 */
export async function fetchFile(request: FileRequest): Promise<void> {
  const { id, file, outDir, access } = request;
  // A link in the output folder is not to make a server write elsewhere.
  const at = {
    root: outDir,
    file: outDir,
    field: `a file of ${id},`,
    fix: 'remove the link, or choose another `outDir`',
  };
  const parent = posix.dirname(file.path);
  const folder = parent === '.' ? outDir : await reach(parent, at);
  const target = join(folder, posix.basename(file.path));
  const part = target + PART;
  await mkdir(folder, { recursive: true });
  const transfer: Transfer = {};
  for (;;) {
    if (((await fileSize(part)) ?? 0) > file.size) await rm(part);
    const resumed = ((await fileSize(part)) ?? 0) > 0;
    let reached = 0;
    const receive = () =>
      receiveRest(request, part, transfer, (bytes) => (reached = Math.max(reached, bytes)));
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

/** Opens a part to append to it: a file of its own, not a link to another one, by either kind of link. */
async function openPart(part: string): Promise<FileHandle> {
  const found = await lstat(part).catch(() => undefined);
  if (found && !(found.isFile() && found.nlink === 1)) {
    const kind = found.isSymbolicLink()
      ? 'is a link'
      : found.isFile()
        ? 'is also another file'
        : 'is no file';
    throw new InvalidFileError(part, `${kind}, expected a part of the download; remove it`);
  }
  const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW = 0 } = constants;
  return open(part, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o666);
}

/** Appends what is missing to the part file. */
async function receiveRest(
  request: FileRequest,
  part: string,
  transfer: Transfer,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { file, meter } = request;
  const handle = await openPart(part);
  let answer: Answer | undefined;
  try {
    let have = (await handle.stat()).size;
    // Nothing to ask for in an empty file, and servers refuse a range of nothing.
    if (have === file.size) return;
    answer = await requestFrom(request, have, transfer);
    if (answer.status === 200 && have > 0) {
      // The server ignored Range, or has another file now, and sends the file from its start.
      await handle.truncate(0);
      have = 0;
    }
    for await (const chunk of answer.body) {
      if (have + chunk.byteLength > file.size) {
        throw new DownloadError(
          'hub-answer',
          `${file.path}: the server sends more than the ${file.size} bytes listed`,
        );
      }
      await handle.writeFile(chunk);
      have += chunk.byteLength;
      onBytes(have);
      meter.received(file.path, file.size, have, chunk.byteLength);
    }
    if (have < file.size) throw new ConnectionClosedError(`closed after ${have} of ${file.size} bytes`);
    await handle.sync();
  } finally {
    answer?.stop();
    await handle.close();
  }
}

/** @throws DownloadError on an answer that is not the rest of the file from `offset` on, nor all of it. */
async function requestFrom(
  { id, commit, file, access }: FileRequest,
  offset: number,
  transfer: Transfer,
): Promise<Answer> {
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  const answer = await request(`${access.endpoint}/${id}/resolve/${commit}/${path}`, access, {
    headers: {
      Range: `bytes=${offset}-`,
      'Accept-Encoding': 'identity',
      ...(transfer.etag && { 'If-Range': transfer.etag }),
    },
  });
  const { status, headers } = answer;
  const problem = answerProblem(answer, offset, file.size);
  if (problem) {
    answer.stop();
    throw status === 200 || status === 206
      ? new DownloadError('hub-answer', `${file.path}: ${problem}`)
      : new HubStatusError(answer.url, status);
  }
  const etag = headers.get('etag');
  transfer.etag = etag?.startsWith('"') ? etag : undefined;
  return answer;
}

/** What is wrong with an answer to the request for all bytes from `offset` on. */
function answerProblem({ status, headers }: Answer, offset: number, size: number): string | undefined {
  const packed = headers.get('content-encoding') ?? 'identity';
  const length = headers.get('content-length');
  if (status === 200) {
    // A proxy may pack what is sent whole; it is unpacked on the way, and its length says nothing.
    if (packed !== 'identity' || length === null || Number(length) === size) return undefined;
    return Number(length) > size
      ? `the server sends more than the ${size} bytes listed`
      : `the server has ${length} bytes, the hub lists ${size}`;
  }
  if (status !== 206) return `status ${status}`;
  if (packed !== 'identity') return `the server sends a range packed (${packed}), which was not asked for`;
  const range = headers.get('content-range');
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range ?? '') ?? [];
  if (Number(first) !== offset || !(Number(last) >= offset))
    return `bytes from ${offset} were asked for, the server sent ${range}`;
  if ((total !== '*' && Number(total) !== size) || Number(last) >= size)
    return `the server sends more than the ${size} bytes listed (${range})`;
  return undefined;
}
