import type { HandSide } from '@dwm/renderer';
import type { OwnReading } from '../networks/own-hands.ts';

/** In pixels from the picture's upper left corner, x to the right. */
export type Point2 = readonly [x: number, y: number];

/** A picture, [height, width, 3], 0 to 255. */
export interface Picture {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** A turned square: its centre and side in pixels, and the angle that it is turned by, clockwise as the picture is seen, in radians. */
export interface Region {
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly angle: number;
}

/** What our head reads, and the square that it was shown. */
export interface OwnView {
  readonly region: Region;
  readonly reading: OwnReading;
}

/** A hand in a picture. */
export interface SeenHand {
  readonly side: HandSide;
  /** How sure the network is that it is of this side, 0.5 to 1. */
  readonly sideCertainty: number;
  /** How sure the network is that there is a hand, 0 to 1. */
  readonly presence: number;
  /** Whether it was seen in the first square that was looked at, and not only in another about it. */
  readonly atOnce: boolean;
  /** 21 points: wrist, then four a finger, thumb first, tips last. */
  readonly points: readonly Point2[];
  /** [21, 3], metres about the hand's own centre, in the camera's axes: x right, y down, z away. */
  readonly world: Float64Array;
  /** As our head reads it, where there are weights for it. */
  readonly own?: OwnView;
}
