/** GGUF files for tests. */
import { toFloat16, toFloat32 } from '../safetensors/convert.ts';
import type { SafetensorsTensor } from '../safetensors/dtypes.ts';

export interface GgufTensor {
  readonly name: string;
  /** As PyTorch has it: the last dimension is the one whose elements lie side by side. */
  readonly shape: readonly number[];
  /** ggml's number of the type. */
  readonly type: number;
  readonly data: Uint8Array;
}

export type GgufValue = string | number | readonly number[];

const ALIGNMENT = 32;

/** As Q8_0: blocks of 32 elements of a row, a scale in f16 before them. */
function q8(values: Float32Array): Uint8Array {
  const out = new Uint8Array((values.length / 32) * 34);
  for (let from = 0, to = 0; from < values.length; from += 32, to += 34) {
    const block = values.subarray(from, from + 32);
    const scale = toFloat16(Float32Array.of(Math.max(...block.map(Math.abs)) / 127));
    const [rounded] = toFloat32({ dtype: 'F16', data: scale });
    out.set(new Uint8Array(scale.buffer), to);
    for (const [i, value] of block.entries())
      out[to + 2 + i] = rounded === 0 ? 0 : Math.round(value / rounded);
  }
  return out;
}

/** A tensor as F32, or as Q8_0. */
export function toGguf(name: string, tensor: SafetensorsTensor, quantized: boolean): GgufTensor {
  const values = toFloat32(tensor);
  const data = quantized ? q8(values) : new Uint8Array(values.slice().buffer);
  return { name, shape: tensor.shape, type: quantized ? 8 : 0, data };
}

/** Numbers are u32, lists of them i32. */
export function writeGguf(
  tensors: readonly GgufTensor[],
  keys: Readonly<Record<string, GgufValue>> = {},
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const u32 = (value: number) => parts.push(new Uint8Array(Uint32Array.of(value).buffer));
  const u64 = (value: number) => parts.push(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    u64(bytes.length);
    parts.push(bytes);
  };
  u32(0x46554747);
  u32(3);
  u64(tensors.length);
  u64(Object.keys(keys).length);
  for (const [key, value] of Object.entries(keys)) {
    text(key);
    if (typeof value === 'string') {
      u32(8);
      text(value);
    } else if (typeof value === 'number') {
      u32(4);
      u32(value);
    } else {
      u32(9);
      u32(5);
      u64(value.length);
      for (const one of value) u32(one);
    }
  }
  const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  let offset = 0;
  for (const { name, shape, type, data } of tensors) {
    text(name);
    u32(shape.length);
    for (const size of [...shape].reverse()) u64(size);
    u32(type);
    u64(offset);
    offset += aligned(data.length);
  }
  const padded = (bytes: number) => new Uint8Array(aligned(bytes) - bytes);
  parts.push(padded(parts.reduce((sum, { length }) => sum + length, 0)));
  for (const { data } of tensors) parts.push(data, padded(data.length));
  const file = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}
