/** Safetensors files by path: read whole (fixtures, LoRA) and written as a stream (checkpoints). */
import { openSafetensors } from '../../files/checkpoint.ts';
import type { SafetensorsDtype, SafetensorsTensor } from '../../files/safetensors/dtypes.ts';
import { checkDataLength, layoutSafetensors } from '../../files/safetensors/writer.ts';
import { writeFileAtomic } from './atomic-write.ts';
import { openPath } from './path-source.ts';

/**
 * All tensors of a file, in memory. For files of gigabytes, open a `Checkpoint` and stream.
 * @throws InvalidFileError if the file is missing or damaged.
 */
export async function readSafetensors(path: string): Promise<Map<string, SafetensorsTensor>> {
  const checkpoint = await openSafetensors(await openPath(path));
  try {
    const tensors = new Map<string, SafetensorsTensor>();
    for (const name of checkpoint.tensors.keys()) tensors.set(name, await checkpoint.readTensor(name));
    return tensors;
  } finally {
    await checkpoint.close();
  }
}

/** A tensor to be written: its data at hand, or made chunk by chunk when its turn comes. */
export interface TensorToSave {
  dtype: SafetensorsDtype;
  shape: readonly number[];
  data: ArrayBufferView | (() => AsyncIterable<Uint8Array>);
}

/**
 * Writes a file tensor by tensor: beside `path`, flushed, then renamed over it.
 * @throws InvalidArgumentError if a tensor or the metadata cannot be stored, or data is not as long as its
 * shape says; `path` is then left as it was.
 */
export async function saveSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToSave>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { head, order } = layoutSafetensors(tensors, metadata);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield head;
    for (const { name, bytes } of order) {
      const { data } = tensors.get(name)!;
      if (typeof data !== 'function') {
        checkDataLength(name, data.byteLength, bytes);
        yield new Uint8Array(data.buffer, data.byteOffset, bytes);
        continue;
      }
      let written = 0;
      for await (const chunk of data()) {
        written += chunk.byteLength;
        yield chunk;
      }
      checkDataLength(name, written, bytes);
    }
  }
  await writeFileAtomic(path, chunks());
}
