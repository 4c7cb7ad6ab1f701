/** The default hands: `generic-hand` of the npm package `@webxr-input-profiles/assets` (MIT). */
import { createRequire } from 'node:module';
import type { HandSide } from '../mano/pose.ts';
import type { Scene } from '../scene/scene.ts';
import { readGltfFile } from './gltf-file.ts';

/** Path of the GLB of one side; a bundler copies these two files and nothing else of the package. */
export function defaultHandPath(side: HandSide): string {
  return createRequire(import.meta.url).resolve(
    `@webxr-input-profiles/assets/dist/profiles/generic-hand/${side}.glb`,
  );
}

/** For `RiggedHand`. */
export function readDefaultHand(side: HandSide): Promise<Scene> {
  return readGltfFile(defaultHandPath(side));
}
