/**
 * Files that are being written, beside those that they will become. Their names say who writes them, so that what
 * a killed process left can be told from what another one is busy with.
 */
import { randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isGone, ownerTag } from './owner.ts';

/** Short, whatever the file is called: a name that just fits gets no ending. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `.dwm-${ownerTag()}-${randomBytes(4).toString('hex')}.tmp`);
}

const TEMPORARY = /^\.dwm-([0-9a-f]{6}-\d+)-[0-9a-f]{8}\.tmp$/;

/** As deep as our folders go: a sample, its videos; a checkpoint, its networks. */
const MAX_DEPTH = 3;

/** A file of another machine that nobody has written to for so long is nobody's. */
const FORGOTTEN_MS = 3_600_000;

async function isForgotten(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > FORGOTTEN_MS;
}

/** Removes what processes that are gone were writing in `folder`, and `depth` folders down. */
export async function sweepTemporary(folder: string, depth = MAX_DEPTH): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch((): Dirent[] => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth > 0) await sweepTemporary(path, depth - 1);
    const [, tag] = TEMPORARY.exec(entry.name) ?? [];
    if (tag && (isGone(tag) ?? (await isForgotten(path)))) await rm(path, { force: true }).catch(() => {});
  }
}
