/**
 * The `.splat` file of antimatter15's web viewer: no header, 32 bytes a splat. Position and linear scale as
 * 3 + 3 floats, colour and opacity as RGBA bytes, the quaternion w x y z as bytes around 128. No harmonics.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ByteSource } from '@dwm/core-tensor/files';
import { allocateCloud, checkedCloud, SH_C0, type SplatCloud } from './cloud.ts';
import type { ReadSplatOptions } from './read-options.ts';

const ROW_BYTES = 32;
const ROWS_AT_ONCE = 1 << 17;

/** @throws InvalidFileError when the size is no multiple of 32 bytes, or no splat's numbers are whole. */
export async function readAntimatterSplats(
  source: ByteSource,
  options: ReadSplatOptions,
): Promise<SplatCloud> {
  const { name: file, size } = source;
  if (size % ROW_BYTES !== 0) {
    throw new InvalidFileError(
      file,
      `has ${size} bytes, expected a multiple of ${ROW_BYTES}: it was cut, or is no .splat file`,
      { size },
    );
  }
  const cloud = allocateCloud(file, size / ROW_BYTES, 0);
  const { count, positions, scales, rotations, opacities, sh } = cloud;
  const chunk = new Uint8Array(Math.min(count, ROWS_AT_ONCE) * ROW_BYTES);
  const view = new DataView(chunk.buffer);
  for (let first = 0; first < count; first += ROWS_AT_ONCE) {
    const rows = Math.min(ROWS_AT_ONCE, count - first);
    await source.read(first * ROW_BYTES, rows * ROW_BYTES, chunk);
    for (let row = 0; row < rows; row++) {
      const at = row * ROW_BYTES;
      const i = first + row;
      for (let axis = 0; axis < 3; axis++) {
        positions[3 * i + axis] = view.getFloat32(at + 4 * axis, true);
        scales[3 * i + axis] = view.getFloat32(at + 12 + 4 * axis, true);
        sh[3 * i + axis] = (chunk[at + 24 + axis] / 255 - 0.5) / SH_C0;
      }
      opacities[i] = chunk[at + 27] / 255;
      for (let k = 0; k < 4; k++) rotations[4 * i + k] = (chunk[at + 28 + k] - 128) / 128;
    }
  }
  return checkedCloud(file, cloud, options);
}
