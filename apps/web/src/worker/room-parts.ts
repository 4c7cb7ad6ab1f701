import type { LightRig, Scene } from '@dwm/renderer/scene';
import type { SplatCloud } from '@dwm/renderer/splats';
import type { World } from '@dwm/synth';
import type { RoomInfo } from './protocol.ts';

/** What a room is drawn from. */
export interface RoomParts {
  readonly info: RoomInfo;
  /** Of rooms that can be simulated. */
  readonly world?: World;
  readonly meshes?: Scene;
  readonly splats?: SplatCloud;
  readonly lights?: LightRig;
}
