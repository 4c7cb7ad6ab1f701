/**
 * Simulated hands as the landmark network sees them: from rooms of training seeds, in squares like the tracker's, the
 * features of each square and of its mirror image, and where the hand's points truly are. Axes and units are those of
 * `OwnPoints`.
 */
import type { Device } from '@dwm/core-tensor';
import { frameAt } from '@dwm/media';
import { type HandSide, type Intrinsics, rotations, SIDES, type Vec3 } from '@dwm/renderer';
import { decodeImage } from '@dwm/renderer/node';
import { LANDMARK_JOINTS } from '@dwm/renderer/recordings';
import { type DrawnClip, PassRenderer, Random, simulate } from '@dwm/synth';
import { turnOfRay } from '../../packages/hands/src/fit/own-view.ts';
import { LANDMARK_SIZE, type LandmarkProgram } from '../../packages/hands/src/networks/landmarks.ts';
import { cropRegion } from '../../packages/hands/src/tracker/crop.ts';
import { regionOfLandmarks } from '../../packages/hands/src/tracker/region.ts';
import type { Point2, Region } from '../../packages/hands/src/tracker/types.ts';
import { framesOf } from '../../packages/synth/src/judging/end.ts';

/** A square that shows a hand. */
export interface Sample {
  readonly seed: number;
  readonly side: HandSide;
  /** How sure the network is that there is a hand. */
  readonly presence: number;
  /** [1152] of the square, and of its mirror image. */
  readonly features: Float32Array;
  readonly mirrored: Float32Array;
  /** [105]: 21 points in the square, 21 in space. */
  readonly points: Float64Array;
}

const FRAMES = 13;
/** When a clip is looked at, by the frames that show a hand. */
const MOMENTS = [0.04, 0.22, 0.4, 0.58, 0.76, 0.96];
/** Of 21, as many points must be in the picture. */
const FEWEST_POINTS = 11;

/** How squares differ from those of the true points: those of our own points little, the tracker's first ones more. */
const JITTER = {
  near: { shift: 0.06, growth: 0.1, turn: 0.2, smaller: 0 },
  far: { shift: 0.14, growth: 0.3, turn: 0.5, smaller: 0.2 },
};
const FAR_SHARE = 0.4;

interface SeenTruth {
  readonly frame: number;
  readonly side: HandSide;
  /** In the camera's axes, OpenCV's, metres. */
  readonly space: readonly Vec3[];
  readonly picture: readonly Point2[];
  /** By the default hand's. */
  readonly size: number;
}

/** Makes samples of rooms. */
export class Sampler {
  readonly #passes: PassRenderer;
  readonly #network: LandmarkProgram;
  readonly #palm: number;

  /** @param rest the default right hand at rest, [25, 7]. */
  constructor(device: Device, network: LandmarkProgram, rest: ArrayLike<number>) {
    this.#passes = new PassRenderer(device, decodeImage);
    this.#network = network;
    this.#palm = palmLength(rest);
  }

  /** The samples of a seed; none where it gives no clip. */
  async of(seed: number): Promise<Sample[]> {
    const [width, height] = seed % 6 === 0 ? [720, 480] : [480, 320];
    const clip = await simulate(seed, { width, height, frames: FRAMES });
    if ('rejected' in clip) return [];
    const random = Random.fork(seed, 'hand samples');
    const truths = this.#truths(clip);
    const shown = [...new Set(truths.map(({ frame }) => frame))];
    const frames = [...new Set(MOMENTS.map((moment) => shown[Math.floor(moment * shown.length)]))];
    if (shown.length === 0) return [];
    const { interaction } = await this.#passes.render(
      framesOf(clip, (list) => frames.map((frame) => list[frame])),
    );
    const samples: Sample[] = [];
    for (const truth of truths) {
      const at = frames.indexOf(truth.frame);
      if (at < 0) continue;
      const picture = { data: frameAt(interaction, at).data, width, height };
      const region = jittered(regionOfLandmarks(truth.picture), random);
      const image = cropRegion(picture, region, LANDMARK_SIZE, 'edge');
      const { features, presence } = await this.#see(image);
      const { features: mirrored } = await this.#see(mirrorImage(image));
      const points = pointsIn(region, truth, clip.acting.frames[truth.frame].intrinsics);
      samples.push({ seed, side: truth.side, presence, features, mirrored, points });
    }
    return samples;
  }

  destroy(): void {
    this.#passes.destroy();
  }

  #truths({ acting }: DrawnClip): SeenTruth[] {
    return acting.frames.flatMap(({ intrinsics, camera, hands }, frame) =>
      SIDES.flatMap((side) => {
        const joints = hands[side]?.joints;
        if (!joints) return [];
        const space = LANDMARK_JOINTS.map((joint) =>
          inCamera(camera.matrix, rotations.vec3At(joints, 7 * joint)),
        );
        const picture = space.map((point) => projected(point, intrinsics));
        const inside = picture.filter(
          ([u, v], i) =>
            space[i][2] > 0.03 && u >= 0 && v >= 0 && u < intrinsics.width && v < intrinsics.height,
        );
        if (inside.length < FEWEST_POINTS) return [];
        return [{ frame, side, space, picture, size: palmLength(joints) / this.#palm }];
      }),
    );
  }

  async #see(image: Float32Array) {
    const outputs = await this.#network.run({ image });
    const [features, presence] = await Promise.all([outputs.features.read(), outputs.presence.read()]);
    return { features: features as Float32Array, presence: presence[0] as number };
  }
}

/** From the wrist to the middle knuckle. */
const palmLength = (joints: ArrayLike<number>): number =>
  rotations.length(rotations.subtract(rotations.vec3At(joints, 7 * 11), rotations.vec3At(joints, 0)));

/** In the axes of OpenCV's camera, of a camera-to-world matrix of OpenGL's. */
function inCamera(m: ArrayLike<number>, point: Vec3): Vec3 {
  const d = [0, 1, 2].map((row) => point[row] - m[4 * row + 3]);
  const along = (column: number) => m[column] * d[0] + m[4 + column] * d[1] + m[8 + column] * d[2];
  return [along(0), -along(1), -along(2)];
}

const projected = ([x, y, z]: Vec3, { fx, fy, cx, cy }: Intrinsics): Point2 => [
  cx + (fx * x) / z,
  cy + (fy * y) / z,
];

function jittered({ x, y, size, angle }: Region, random: Random): Region {
  const { shift, growth, turn, smaller } = random.chance(FAR_SHARE) ? JITTER.far : JITTER.near;
  // Box and Muller's.
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  return {
    x: x + shift * normal() * size,
    y: y + shift * normal() * size,
    size: size * Math.exp(growth * normal() - smaller),
    angle: angle + turn * normal(),
  };
}

function pointsIn(region: Region, { picture, space, size }: SeenTruth, camera: Intrinsics): Float64Array {
  const [cosine, sine] = [Math.cos(region.angle), Math.sin(region.angle)];
  const inSquare = picture.flatMap(([u, v]) => {
    const [x, y] = [(u - region.x) / region.size, (v - region.y) / region.size];
    return [cosine * x + sine * y, -sine * x + cosine * y];
  });
  const middle = rotations.scale(space.reduce(rotations.add), 1 / space.length);
  const fromCamera = rotations.inverse(turnOfRay([region.x, region.y], region.angle, camera));
  const alongRay = space.flatMap((point) =>
    rotations.scale(rotations.rotate(fromCamera, rotations.subtract(point, middle)), 1 / size),
  );
  return Float64Array.from([...inSquare, ...alongRay]);
}

function mirrorImage(image: Float32Array): Float32Array {
  const mirror = new Float32Array(image.length);
  for (let at = 0; at < image.length; at += 3) {
    const column = (at / 3) % LANDMARK_SIZE;
    const from = at + 3 * (LANDMARK_SIZE - 1 - 2 * column);
    mirror.set(image.subarray(from, from + 3), at);
  }
  return mirror;
}
