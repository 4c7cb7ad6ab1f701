/**
 * Writes a model folder with the linear layers of its transformer and text encoder quantized, everything else as it is.
 * The layout is that of compressed-tensors: `weight` in I8 with `weight_scale` for each row, or `weight_packed` with
 * `weight_scale` for each group and `weight_shape`.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { type Checkpoint, type SafetensorsDtype, toFloat16, toFloat32 } from '@dwm/core-tensor/files';
import {
  openDirectory,
  saveSafetensors,
  type TensorToSave,
  withOutput,
  writeFileAtomic,
} from '@dwm/core-tensor/node';
import { familyOf } from '../../families/index.ts';
import { openEncoder } from '../../text-encoder/llama-names.ts';
import { type QuantizedRows, quantizeInt4, quantizeInt8 } from '../../weights/quantize.ts';
import { GROUP_SIZE, type QuantizedDtype, quantizedAs } from '../../weights/quantized.ts';
import { checkApart } from '../training/model-folder.ts';

/** How a model is quantised. */
export interface QuantizeOptions {
  readonly dtype: QuantizedDtype;
  /** Weights of a row that share a scale in int4. */
  readonly groupSize?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (file: string, doneBytes: number, totalBytes: number) => void;
}

/** What became of one network of a model. */
export interface QuantizedNetwork {
  readonly file: string;
  /** Weights that are now int8, and int4. */
  readonly int8: number;
  readonly int4: number;
  /** Tensors that are as they were. */
  readonly kept: number;
  /** Of what was quantized: |w - quantized|^2 over |w|^2, the root of it. */
  readonly error: number;
  readonly bytesBefore: number;
  readonly bytes: number;
}

const FLOATS: readonly SafetensorsDtype[] = ['F32', 'F16', 'BF16'];
/** Bytes that are read at a time. */
const CHUNK = 8 << 20;

/**
 * @throws InvalidArgumentError for a group size that no row has, or where `out` is the model's folder; InvalidFileError
 *   for a model that is quantized already, or of which a weight is no finite number.
 */
export async function quantizeModel(
  model: string,
  out: string,
  options: QuantizeOptions,
): Promise<QuantizedNetwork[]> {
  const { groupSize = GROUP_SIZE } = options;
  if (![32, 64, 128].includes(groupSize))
    throw new InvalidArgumentError('groupSize', `expected 32, 64 or 128, got ${groupSize}`);
  await checkApart('out', out, model);
  const folder = await openDirectory(model);
  const files = await (await familyOf(folder)).files(folder);
  const bases = new Map(files.flatMap((file) => networkOf(file).map((base) => [file, base] as const)));
  if (bases.size === 0) {
    throw new InvalidFileError(
      model,
      'holds no transformer or text encoder in safetensors or GGUF that could be quantized',
    );
  }
  return withOutput(out, {}, async () => {
    const made: QuantizedNetwork[] = [];
    for (const base of new Set(bases.values())) {
      const checkpoint = await openEncoder(folder, base);
      try {
        const file = `${base}.safetensors`;
        made.push(await quantizeFile(checkpoint, join(out, file), { ...options, groupSize }, file));
      } finally {
        await checkpoint.close();
      }
    }
    for (const file of files) {
      if (bases.has(file)) continue;
      options.signal?.throwIfAborted();
      await writeFileAtomic(join(out, file), createReadStream(join(model, file)));
    }
    return made;
  });
}

/** The path without its ending of a network's weights that a file is of, if they can be quantized. */
function networkOf(file: string): string[] {
  const found =
    /^((?:transformer\/)?diffusion_pytorch_model|text_encoder\/model)(-\d+-of-\d+)?\.(safetensors|safetensors\.index\.json|gguf)$/.exec(
      file,
    );
  return found ? [found[1]] : [];
}

async function quantizeFile(
  checkpoint: Checkpoint,
  path: string,
  { dtype, groupSize, signal, onProgress }: QuantizeOptions & { readonly groupSize: number },
  file: string,
): Promise<QuantizedNetwork> {
  const tensors = new Map<string, TensorToSave>();
  const counts = { int8: 0, int4: 0, kept: 0 };
  let squares = 0;
  let errors = 0;
  let bytesBefore = 0;
  let total = 0;
  let done = 0;
  const count = (bytes: number) => {
    signal?.throwIfAborted();
    done += bytes;
    onProgress?.(file, done, total);
  };
  for (const [name, entry] of checkpoint.tensors) {
    const { shape } = entry;
    const size = entry.end - entry.begin;
    bytesBefore += size;
    if (name.endsWith('_scale') && checkpoint.tensors.has(name.slice(0, -'_scale'.length))) {
      throw new InvalidFileError(
        checkpoint.name,
        `tensor ${name} is a scale; the model is quantized already`,
      );
    }
    const [n, k] = shape;
    const becomes = FLOATS.includes(entry.dtype) ? quantizedAs(name, shape, dtype, groupSize) : undefined;
    if (!becomes) {
      counts.kept++;
      total += size;
      tensors.set(name, {
        ...{ dtype: entry.dtype, shape },
        data: () => stream(checkpoint, name, count),
      });
      continue;
    }
    const four = becomes === 'int4';
    counts[becomes]++;
    // Once for the numbers, and once for their scales.
    total += 2 * size;
    const quantized = async function* (): AsyncGenerator<QuantizedRows> {
      const rowBytes = size / n;
      const rows = Math.max(1, Math.floor(CHUNK / rowBytes));
      for await (const { bytes } of checkpoint.streamTensor(name, rows * rowBytes)) {
        const values = toFloat32({ dtype: entry.dtype, data: bytes });
        try {
          yield four ? quantizeInt4(values, groupSize) : quantizeInt8(values, k);
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
          throw new InvalidFileError(
            checkpoint.name,
            `tensor ${name}: ${error.message}; download the model again`,
          );
        }
        count(bytes.length);
      }
    };
    const module = name.slice(0, -'.weight'.length);
    tensors.set(four ? `${module}.weight_packed` : name, {
      ...(four ? { dtype: 'I32', shape: [n, k / 8] } : { dtype: 'I8', shape }),
      async *data() {
        for await (const { numbers } of quantized()) yield numbers;
      },
    });
    tensors.set(`${module}.weight_scale`, {
      ...(four ? { dtype: 'F16', shape: [n, k / groupSize] } : { dtype: 'F32', shape: [n, 1] }),
      async *data() {
        for await (const { scales, ...sums } of quantized()) {
          squares += sums.squares;
          errors += sums.errors;
          yield new Uint8Array((four ? toFloat16(scales) : scales).buffer);
        }
      },
    });
    if (four) {
      tensors.set(`${module}.weight_shape`, {
        ...{ dtype: 'I64', shape: [2], data: BigInt64Array.of(BigInt(n), BigInt(k)) },
      });
    }
  }
  await saveSafetensors(path, tensors, {
    format: 'pt',
    quantization: `${dtype}${dtype === 'int4' ? ` in groups of ${groupSize}` : ''}, compressed-tensors`,
  });
  return {
    file,
    ...counts,
    error: squares > 0 ? Math.sqrt(errors / squares) : 0,
    bytesBefore,
    bytes: (await stat(path)).size,
  };
}

async function* stream(
  checkpoint: Checkpoint,
  name: string,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of checkpoint.streamTensor(name, CHUNK)) {
    yield bytes;
    count(bytes.length);
  }
}
