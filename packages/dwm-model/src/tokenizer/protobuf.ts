/**
 * The protobuf wire format, as far as reading a file needs it: a message is a run of (field number, wire
 * type, value) records. Every length is checked against the message that contains it before it is used, so
 * a truncated or lying file ends in one clear error and never in an out-of-range read.
 * Format: https://protobuf.dev/programming-guides/encoding/
 */
import { InvalidFileError } from '@dwm/core-tensor';

/** One record of a message; which member carries the value follows from the wire type. */
export interface ProtoField {
  readonly number: number;
  readonly wireType: number;
  /** Wire type 0: the low 32 bits as a signed integer, which is what int32, bool and enum fields hold. */
  readonly int32: number;
  /** Wire type 5: an IEEE float. */
  readonly float: number;
  /** Wire type 2: a view (no copy) of a string, byte string or embedded message. */
  readonly bytes: Uint8Array;
}

const WIRE_NAMES = ['varint', '64-bit', 'length-delimited', 'group start', 'group end', '32-bit'];
const NO_BYTES = new Uint8Array(0);

/**
 * Reads the records of one message in file order.
 * @param bytes the message, which may be a view into a larger file
 * @param path the message's name in errors, e.g. `ModelProto.pieces[3]`
 * @throws InvalidFileError if a record does not fit into `bytes` or uses a wire type proto2 data has not
 */
export function* readMessage(bytes: Uint8Array, file: string, path: string): Generator<ProtoField> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;

  const fail = (problem: string): never => {
    throw new InvalidFileError(
      file,
      `${path} is not a valid protobuf message: ${problem}; download the file again`,
      { field: path, offset: position, sizeBytes: bytes.byteLength },
    );
  };

  const readVarint = (): { low: number; fits: boolean } => {
    let low = 0;
    let fits = true;
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= bytes.length) fail(`it ends at byte ${position} inside a number`);
      const byte = bytes[position++];
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift > 28 ? bits !== 0 : shift === 28 && bits > 7) fits = false;
      if (byte < 0x80) return { low, fits };
    }
    return fail(`the number before byte ${position} is longer than 10 bytes`);
  };

  const need = (size: number): void => {
    if (size > bytes.length - position) {
      fail(`a field at byte ${position} claims ${size} bytes, ${bytes.length - position} are left`);
    }
  };

  while (position < bytes.length) {
    const key = readVarint();
    const number = key.low >>> 3;
    const wireType = key.low & 7;
    if (number === 0) fail(`field number 0 before byte ${position}`);
    let int32 = 0;
    let float = 0;
    let payload: Uint8Array = NO_BYTES;
    if (wireType === 0) {
      int32 = readVarint().low;
    } else if (wireType === 1) {
      need(8);
      position += 8;
    } else if (wireType === 2) {
      const length = readVarint();
      if (!length.fits || length.low < 0) fail(`a length before byte ${position} exceeds 2 GiB`);
      need(length.low);
      payload = bytes.subarray(position, position + length.low);
      position += length.low;
    } else if (wireType === 5) {
      need(4);
      float = view.getFloat32(position, true);
      position += 4;
    } else {
      fail(`wire type ${wireType} (${WIRE_NAMES[wireType] ?? 'undefined'}) before byte ${position}`);
    }
    yield { number, wireType, int32, float, bytes: payload };
  }
}
