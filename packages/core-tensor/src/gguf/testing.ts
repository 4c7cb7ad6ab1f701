/** GGUF files for tests. */

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
