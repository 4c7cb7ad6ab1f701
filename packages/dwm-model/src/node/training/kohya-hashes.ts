/** What kohya's tools know a LoRA file by: hashes of its numbers, and of a stretch of it as it is without them. */
import { createHash } from 'node:crypto';
import { layoutSafetensors } from '@dwm/core-tensor/files';
import type { TensorToSave } from '@dwm/core-tensor/node';

/** Where the short hash begins, and of how many bytes of the file it is. */
const LEGACY = { begin: 0x100000, length: 0x10000 };

export async function kohyaHashes(
  tensors: ReadonlyMap<string, TensorToSave>,
): Promise<Record<string, string>> {
  const { head, order } = layoutSafetensors(tensors);
  const whole = createHash('sha256');
  const stretch = createHash('sha256');
  let at = head.length;
  stretch.update(head.subarray(LEGACY.begin, LEGACY.begin + LEGACY.length));
  for (const { name } of order) {
    for await (const bytes of chunksOf(tensors.get(name)!)) {
      whole.update(bytes);
      const [from, to] = [LEGACY.begin - at, LEGACY.begin + LEGACY.length - at];
      if (to > 0 && from < bytes.length) stretch.update(bytes.subarray(Math.max(0, from), to));
      at += bytes.length;
    }
  }
  return { sshs_model_hash: whole.digest('hex'), sshs_legacy_hash: stretch.digest('hex').slice(0, 8) };
}

async function* chunksOf({ data }: TensorToSave): AsyncIterable<Uint8Array> {
  if (typeof data === 'function') yield* data();
  else yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
