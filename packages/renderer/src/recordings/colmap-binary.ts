/**
 * COLMAP's `cameras.bin` and `images.bin`, little-endian. A camera: id u32, model i32, width and height u64, its parameters f64. An
 * image: id u32, quaternion w x y z and translation f64, camera u32, its name up to a zero byte, then a u64 count of points of 24
 * bytes, which are passed over. Every count is checked against the bytes that are there. Format: src/colmap/scene/reconstruction_io_binary.cc.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { BinaryFile } from '@dwm/core-tensor/files';
import { CAMERA_MODELS } from './colmap-cameras.ts';
import type { ColmapCamera, ColmapImage } from './colmap-model.ts';

const CAMERA_BYTES = 4 + 4 + 8 + 8;
/** Up to the name. */
const IMAGE_BYTES = 4 + 7 * 8 + 4;
const POINT_BYTES = 2 * 8 + 8;

export function readBinaryCameras(file: BinaryFile): ColmapCamera[] {
  const reader = new Reader(file);
  return reader.entries('camera', CAMERA_BYTES, (where): ColmapCamera => {
    reader.need(CAMERA_BYTES, where);
    const id = String(reader.uint32());
    const modelId = reader.int32();
    const [width, height] = [reader.uint64(), reader.uint64()];
    const model = CAMERA_MODELS[modelId];
    if (!model)
      throw reader.bad(`${where}: camera model ${modelId}, expected 0 to ${CAMERA_MODELS.length - 1}`);
    reader.need(8 * model.count, where);
    const params = Array.from({ length: model.count }, () => reader.float64());
    return { id, where, model, width, height, params };
  });
}

export function readBinaryImages(file: BinaryFile): ColmapImage[] {
  const reader = new Reader(file);
  return reader.entries('image', IMAGE_BYTES + 1 + 8, (where): ColmapImage => {
    reader.need(IMAGE_BYTES, where);
    reader.uint32();
    const numbers = Array.from({ length: 7 }, () => reader.float64());
    if (!numbers.every(Number.isFinite)) throw reader.bad(`${where}: its pose holds numbers that are none`);
    const [qw, qx, qy, qz, x, y, z] = numbers;
    const cameraId = String(reader.uint32());
    const name = reader.name(where);
    reader.need(8, where);
    const points = reader.uint64();
    reader.skip(points * POINT_BYTES, `${where}: its ${points} points`);
    return { name, where, cameraId, qvec: [qw, qx, qy, qz], tvec: [x, y, z] };
  });
}

/** Whether these bytes are a whole `cameras.bin`, which has no mark of its own: every entry fits, and the last ends with the file. */
export const isColmapCameras = (file: BinaryFile): boolean =>
  readsToTheEnd(file, readBinaryCameras, ({ width, height }) => Math.max(width, height) < 2 ** 24);

/** The same of `images.bin`. */
export const isColmapImages = (file: BinaryFile): boolean => readsToTheEnd(file, readBinaryImages);

function readsToTheEnd<T>(
  file: BinaryFile,
  read: (file: BinaryFile) => T[],
  isLikely: (entry: T) => boolean = () => true,
): boolean {
  try {
    const all = read(file);
    return all.length > 0 && all.every(isLikely);
  } catch (error) {
    if (error instanceof InvalidFileError) return false;
    throw error;
  }
}

class Reader {
  readonly #file: BinaryFile;
  readonly #view: DataView;
  #at = 0;

  constructor(file: BinaryFile) {
    this.#file = file;
    this.#view = new DataView(file.bytes.buffer, file.bytes.byteOffset, file.bytes.byteLength);
  }

  bad(problem: string): InvalidFileError {
    return new InvalidFileError(this.#file.name, problem);
  }

  get #left(): number {
    return this.#view.byteLength - this.#at;
  }

  need(bytes: number, what: string): void {
    if (bytes <= this.#left) return;
    throw this.bad(
      `${what} ends beyond the file's ${this.#view.byteLength} bytes: it was cut, copy it again`,
    );
  }

  skip(bytes: number, what: string): void {
    this.need(bytes, what);
    this.#at += bytes;
  }

  /** A u64 count, and so many entries of `least` bytes or more. */
  entries<T>(what: string, least: number, read: (where: string) => T): T[] {
    this.need(8, 'its number of entries');
    const count = this.uint64();
    if (count * least > this.#left)
      throw this.bad(
        `claims ${count} ${what}s in ${this.#view.byteLength} bytes: it was cut, or is no ${what}s.bin`,
      );
    const all = Array.from({ length: count }, (_, i) => read(`${what} ${i}`));
    if (this.#left > 0)
      throw this.bad(`has ${this.#left} bytes behind its ${count} ${what}s: it is no ${what}s.bin of COLMAP`);
    return all;
  }

  uint32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  int32(): number {
    this.#at += 4;
    return this.#view.getInt32(this.#at - 4, true);
  }

  /** Exact up to 2^53, and larger than any file beyond. */
  uint64(): number {
    this.#at += 8;
    return Number(this.#view.getBigUint64(this.#at - 8, true));
  }

  float64(): number {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  name(where: string): string {
    const { bytes } = this.#file;
    const end = bytes.indexOf(0, this.#at);
    if (end < 0)
      throw this.bad(`${where}: its name ends nowhere, expected a zero byte: it was cut, copy it again`);
    const name = new TextDecoder().decode(bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return name;
  }
}
