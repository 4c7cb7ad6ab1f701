/** What both encodings of a COLMAP model say. */
import type { CameraModel } from './colmap-cameras.ts';

/** A camera as a file has it; `where` names its place in messages. */
export interface ColmapCamera {
  readonly id: string;
  readonly where: string;
  readonly model: CameraModel;
  readonly width: number;
  readonly height: number;
  readonly params: readonly number[];
}

export interface ColmapImage {
  readonly name: string;
  readonly where: string;
  readonly cameraId: string;
  /** w x y z. */
  readonly qvec: readonly [number, number, number, number];
  readonly tvec: readonly [number, number, number];
}
