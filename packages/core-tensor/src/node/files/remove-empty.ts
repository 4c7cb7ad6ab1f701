import { rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Removes `folder` and those above it up to `top`, as far as they are empty. */
export async function removeEmpty(folder: string, top: string): Promise<void> {
  for (let at = folder; at.startsWith(top); at = dirname(at)) {
    const removed = await rmdir(at).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}
