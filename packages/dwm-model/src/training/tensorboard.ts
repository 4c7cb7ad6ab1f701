/**
 * TensorBoard event files: records of TFRecord framing around `Event` protocol buffers with scalar summaries.
 * Append-only, so a resumed run goes on in the same file.
 */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The checksum as TFRecord stores it. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function varint(value: number): number[] {
  const out: number[] = [];
  let left = value;
  while (left >= 128) {
    out.push((left % 128) | 128);
    left = Math.floor(left / 128);
  }
  return [...out, left];
}

const delimited = (field: number, bytes: ArrayLike<number>) => [
  ...varint(field * 8 + 2),
  ...varint(bytes.length),
  ...Array.from(bytes),
];

function fixed(field: number, value: number, width: 4 | 8): number[] {
  const view = new DataView(new ArrayBuffer(width));
  if (width === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return [...varint(field * 8 + (width === 4 ? 5 : 1)), ...new Uint8Array(view.buffer)];
}

function record(event: readonly number[]): Uint8Array {
  const out = new Uint8Array(16 + event.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, event.length, true);
  view.setUint32(8, maskedCrc(out.subarray(0, 8)), true);
  out.set(event, 12);
  view.setUint32(12 + event.length, maskedCrc(out.subarray(12, 12 + event.length)), true);
  return out;
}

/** The record that starts a file. `seconds` is Unix time. */
export const fileHeader = (seconds: number): Uint8Array =>
  record([...fixed(1, seconds, 8), ...delimited(3, new TextEncoder().encode('brain.Event:2'))]);

/** One record with the scalars of a step. */
export function scalarEvent(
  seconds: number,
  step: number,
  scalars: Readonly<Record<string, number>>,
): Uint8Array {
  const values = Object.entries(scalars).flatMap(([tag, value]) =>
    delimited(1, [...delimited(1, new TextEncoder().encode(tag)), ...fixed(2, value, 4)]),
  );
  return record([...fixed(1, seconds, 8), ...varint(2 * 8), ...varint(step), ...delimited(5, values)]);
}
