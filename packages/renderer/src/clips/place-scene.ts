/** A scene that lies on its side or is in other units, put upright and to metres before it is drawn. */
import { direction, IDENTITY_ROTATION, type Quaternion, swing, type Vec3 } from '../camera/rotation.ts';
import { combineScenes } from '../scene/combine.ts';
import { placeCloud } from '../splats/place-cloud.ts';
import type { SceneParts } from './static-scene.ts';

/** How a scene is put into the world. */
export interface ScenePlacement {
  /** The scene's direction that is up, of any length; it becomes the world's +y. */
  readonly up?: Vec3;
  /** Metres in one unit of the scene. */
  readonly scale?: number;
}

/** The shortest turn of `up` to +y; half a turn about x where it points down, as COLMAP's axes become OpenGL's. */
export function uprightTurn(up: Vec3): Quaternion {
  const unitUp = direction(up);
  return unitUp ? swing(unitUp, [0, 1, 0], [1, 0, 0]) : IDENTITY_ROTATION;
}

/** Splats are changed in place. */
export function placeScene({ meshes, splats }: SceneParts, { up, scale = 1 }: ScenePlacement): SceneParts {
  const rotation = up ? uprightTurn(up) : IDENTITY_ROTATION;
  if (rotation[3] === 1 && scale === 1) return { meshes, splats };
  if (splats) placeCloud(splats, rotation, scale);
  const placed = meshes && { scene: meshes, name: 'scene', rotation, scale: [scale, scale, scale] };
  return { meshes: placed && combineScenes(meshes.name, [placed]), splats };
}
