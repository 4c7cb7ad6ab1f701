/** Reads `.hdf5` episodes of EgoDex, with the HDF5 library itself as WebAssembly. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { HandSide } from '../mano/pose.ts';
import { EGODEX_JOINTS, type EgodexEpisode, type EgodexHand } from '../recordings/egodex.ts';

/** Over two hours; a longer one is a damaged file. */
const MOST_FRAMES = 1 << 18;

/** @throws InvalidFileError naming the dataset, where one is missing, has another shape or cannot be read. */
export async function readEgodexFile(path: string): Promise<EgodexEpisode> {
  const { default: h5wasm } = await import('h5wasm/node');
  // Else it writes its errors to stderr, and opens what is no HDF5.
  (await h5wasm.ready).activate_throwing_error_handler();
  const bad = (field: string, found: string, expected: string) =>
    new InvalidFileError(path, `${field}: ${found}, expected ${expected}`, { field, expected });
  /** What the library throws is an error code or a trap of its machine. */
  const reading = <T>(field: string, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      throw error instanceof InvalidFileError
        ? error
        : bad(field, 'cannot be read', 'a whole HDF5 file of EgoDex');
    }
  };
  const file = reading('content', () => new h5wasm.File(path, 'r'));
  const dataset = (field: string, shape: readonly (number | 'frames')[], frames = 0): Float64Array =>
    reading(field, () => {
      const found = file.get(field);
      const expected = `numbers [${shape.map((size) => (size === 'frames' && frames ? frames : size)).join(', ')}]`;
      if (!found) throw bad(field, 'missing', expected);
      if (!(found instanceof h5wasm.Dataset)) throw bad(field, 'is no dataset', expected);
      const sizes = found.shape ?? [];
      const fits = (size: number | 'frames', i: number) =>
        size === 'frames' ? (frames ? sizes[i] === frames : sizes[i] > 0) : sizes[i] === size;
      if (sizes.length !== shape.length || !shape.every(fits))
        throw bad(field, `[${sizes.join(', ')}]`, expected);
      if (sizes[0] > MOST_FRAMES) throw bad(field, `${sizes[0]} frames`, `at most ${MOST_FRAMES}`);
      const { value } = found;
      if (!(value instanceof Float32Array || value instanceof Float64Array))
        throw bad(field, 'holds no floats', expected);
      return Float64Array.from(value);
    });
  try {
    const intrinsic = dataset('camera/intrinsic', [3, 3]);
    const camera = dataset('transforms/camera', ['frames', 4, 4]);
    const frames = camera.length / 16;
    const hand = (side: HandSide): EgodexHand => {
      const names = EGODEX_JOINTS.map((joint) => side + joint);
      const joints = names.map((name) => dataset(`transforms/${name}`, ['frames', 4, 4], frames));
      if (!reading('confidences', () => file.get('confidences'))) return { joints };
      return { joints, confidence: names.map((name) => dataset(`confidences/${name}`, ['frames'], frames)) };
    };
    return { name: path, intrinsic, camera, hands: { left: hand('left'), right: hand('right') } };
  } finally {
    file.close();
  }
}
