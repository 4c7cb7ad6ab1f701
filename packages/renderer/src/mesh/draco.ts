/**
 * Draco streams announce how many faces and points they unpack to, and the decoder believes them. Here the
 * announcement is compared with what the glTF says before the decoder allocates anything.
 */
import { type Fields, LIMITS, type Resources } from './validate.ts';

const SEQUENTIAL = 0;
const METADATA_FLAG = 0x8000;

/** @throws InvalidFileError when a stream is no Draco mesh or announces other sizes than its accessors. */
export function checkDraco(root: Fields, resources: Resources, binaryUri: string): void {
  const views = root.objects('bufferViews');
  const buffers = root.objects('buffers');
  const accessors = root.objects('accessors');
  for (const mesh of root.objects('meshes')) {
    for (const primitive of mesh.objects('primitives')) {
      const packed = primitive.object('extensions')?.object('KHR_draco_mesh_compression');
      if (!packed) continue;
      const view = views[packed.integer('bufferView')];
      const buffer = buffers[view.integer('buffer')];
      const bytes = resources[buffer.has('uri') ? buffer.string('uri') : binaryUri];
      const start = view.integer('byteOffset', 0);
      const faces =
        announcedFaces(bytes.subarray(start, start + view.integer('byteLength'))) ??
        packed.fail('bufferView', 'expected a Draco triangle mesh', 'something else');
      const expected = accessors[primitive.integer('indices')].integer('count') / 3;
      // Streams with metadata in front hide their sizes; the sizes of their accessors are bounded anyway.
      if (faces >= 0 && (faces !== expected || faces > LIMITS.numbers / 3)) {
        packed.fail('bufferView', `expected ${expected} faces, as its indices say`, faces);
      }
    }
  }
}

/** Faces of a Draco bitstream 2.2; -1 when they are not at the front, `undefined` when it is no triangle mesh. */
function announcedFaces(bytes: Uint8Array): number | undefined {
  if (bytes.length < 12 || String.fromCharCode(...bytes.subarray(0, 5)) !== 'DRACO' || bytes[7] !== 1)
    return undefined;
  const version = bytes[5] * 256 + bytes[6];
  const flags = bytes[9] + bytes[10] * 256;
  if (version < 0x202 || flags & METADATA_FLAG) return -1;
  let at = 11;
  const varint = () => {
    let value = 0;
    for (let shift = 1; at < bytes.length && shift < 2 ** 42; shift *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * shift;
      if (byte < 128) break;
    }
    return value;
  };
  if (bytes[8] === SEQUENTIAL) return varint();
  at++; // the traversal's kind
  varint(); // vertices
  return varint();
}
