/** A room from dropped files. The readers are fetched when there are some. */
import { InvalidFileError } from '@dwm/core-tensor';
import { blobSource, quote } from '@dwm/core-tensor/files';
import { type Bounds, readGltf, worldBounds } from '@dwm/renderer/scene';
import { readSplats, type SplatCloud } from '@dwm/renderer/splats';
import type { DroppedFile } from '../model-store/dropped.ts';
import type { RoomParts } from './room-parts.ts';

const isGltf = ({ path }: DroppedFile) => /\.(glb|gltf)$/i.test(path);
const isSplats = ({ path }: DroppedFile) => /\.(ply|spz|splat)$/i.test(path);

/** @throws InvalidFileError for a file that is no scene. */
export async function readRoom(files: readonly DroppedFile[]): Promise<RoomParts> {
  const gltf = files.find(isGltf);
  const cloud = files.find(isSplats);
  const main = gltf ?? cloud;
  if (!main)
    throw new InvalidFileError(files[0].path, 'is no scene; expected .glb, .gltf, .ply, .spz or .splat');
  const bytesOf = async ({ file }: DroppedFile) => new Uint8Array(await file.arrayBuffer());
  const notes: string[] = [];
  const meshes =
    gltf &&
    (await readGltf(await bytesOf(gltf), {
      name: gltf.path,
      dracoDecoder: () => import('./draco.ts').then(({ loadDraco }) => loadDraco()),
      warn: (line) => notes.push(line),
      readUri: async (wanted, field) => {
        const found = files.find(({ path }) => path === wanted || path.endsWith(`/${wanted}`));
        if (!found)
          throw new InvalidFileError(
            gltf.path,
            `${field}: ${quote(wanted)} is missing; drop it together with the .gltf`,
          );
        return bytesOf(found);
      },
    }));
  const splats =
    cloud && (await readSplats(blobSource(cloud.file, cloud.path), { warn: (line) => notes.push(line) }));
  const bounds = meshes ? worldBounds(meshes) : splats && cloudBounds(splats);
  return { info: { name: main.path, caption: '', bounds, notes }, meshes, splats };
}

/** The middle nine tenths in every direction: scans have stray splats far away. */
function cloudBounds({ positions }: SplatCloud): Bounds {
  const axes = [0, 1, 2].map((axis) => {
    const values = Float32Array.from({ length: positions.length / 3 }, (_, i) => positions[3 * i + axis]);
    return values.sort();
  });
  const at = (share: number) => axes.map((values) => values[Math.floor(share * (values.length - 1))]);
  return { min: at(0.05), max: at(0.95) };
}
