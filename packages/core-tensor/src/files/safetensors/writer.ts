/**
 * Writing safetensors so that the reference implementation, PEFT and diffusers read them back: compact JSON
 * header in the given order, padded with spaces to 8 bytes, tensors back to back. Data goes down widest
 * element first (order kept within a width), as the reference does, so every tensor is aligned for its dtype.
 */
import { InvalidArgumentError } from '../../errors.ts';
import { quote } from '../../text.ts';
import { DTYPE_BITS, isDtype, type SafetensorsDtype, type SafetensorsTensor } from './dtypes.ts';
import { byteLength, MAX_HEADER_BYTES } from './header.ts';

/** A safetensors file before its data: the header's bytes and the order of the tensors. */
export interface SafetensorsLayout {
  /** Everything before the data: length, JSON, padding. */
  readonly head: Uint8Array;
  /** Names in the order in which their bytes follow the head, with the byte count of each. */
  readonly order: readonly { readonly name: string; readonly bytes: number }[];
}

/**
 * Head of a file and the order of its data, from dtypes and shapes alone.
 * @throws InvalidArgumentError on a reserved name, an unknown dtype, a bad shape, or non-text metadata.
 */
export function layoutSafetensors(
  tensors: ReadonlyMap<string, { dtype: SafetensorsDtype; shape: readonly number[] }>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string')
      throw new InvalidArgumentError(`metadata.${key}`, `expected a string, got ${quote(value)}`);
  }
  const order = Array.from(tensors, ([name, { dtype, shape }]) => {
    const whole = shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
    const bytes = isDtype(dtype) && whole ? byteLength(dtype, shape) : undefined;
    if (bytes === undefined || !Number.isInteger(bytes) || name === '__metadata__') {
      throw new InvalidArgumentError(
        `tensor ${quote(name)}`,
        `cannot be stored as ${dtype} of shape ${quote(shape)}`,
      );
    }
    return { name, bytes, width: DTYPE_BITS[dtype] };
  }).sort((a, b) => b.width - a.width);

  const offsets = new Map<string, [number, number]>();
  let end = 0;
  for (const { name, bytes } of order) {
    offsets.set(name, [end, end + bytes]);
    end += bytes;
  }

  // A Map keeps the given order even for names that look like numbers, which an object would move first.
  const fields = Array.from(tensors, ([name, { dtype, shape }]) => {
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: offsets.get(name) })}`;
  });
  if (Object.keys(metadata).length) fields.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const length = Math.ceil(json.byteLength / 8) * 8;
  if (length > MAX_HEADER_BYTES) {
    throw new InvalidArgumentError(
      'tensors',
      `the header takes ${length} bytes, expected at most ${MAX_HEADER_BYTES}`,
    );
  }
  const head = new Uint8Array(8 + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(json, 8);
  return { head, order };
}

/** @throws InvalidArgumentError if a tensor's data is not as long as its dtype and shape say. */
export function checkDataLength(name: string, actual: number, expected: number): void {
  if (actual === expected) return;
  throw new InvalidArgumentError(
    `tensor ${quote(name)}`,
    `dtype and shape take ${expected} bytes, its data has ${actual}`,
  );
}

/**
 * A whole file in memory, for LoRA-sized sets of tensors. Weights of gigabytes go through
 * `saveSafetensors` of `@dwm/core-tensor/node`.
 * @throws InvalidArgumentError if a tensor or the metadata cannot be stored.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { head, order } = layoutSafetensors(tensors, metadata);
  const file = new Uint8Array(order.reduce((sum, { bytes }) => sum + bytes, head.byteLength));
  file.set(head);
  let offset = head.byteLength;
  for (const { name, bytes } of order) {
    const { data } = tensors.get(name)!;
    checkDataLength(name, data.byteLength, bytes);
    file.set(new Uint8Array(data.buffer, data.byteOffset, bytes), offset);
    offset += bytes;
  }
  return file;
}
