/**
 * Both hands in every picture of a video, much as MediaPipe Hands finds them. A hand that was seen is looked for where
 * it was. Palms are searched where no hand is seen, and now and then for a second one. Beyond MediaPipe, parts of the
 * picture are searched too, for small hands, and a hand that holds something is kept where its palm is sure.
 */
import type { Device, DeviceTensor } from '@dwm/core-tensor';
import { compileLandmarks, LANDMARK_SIZE, type LandmarkProgram } from '../networks/landmarks.ts';
import { compilePalm, PALM_SIZE, type PalmProgram } from '../networks/palm.ts';
import type { WeightFiles } from '../networks/weights.ts';
import { cropRegion } from './crop.ts';
import { type PalmRegion, palmRegions } from './palms.ts';
import { fromRegion, overlap, type Region, regionOfLandmarks } from './region.ts';
import type { Picture, Point2, SeenHand } from './types.ts';

/** The weights of both networks. */
export interface HandWeights {
  readonly palm: WeightFiles;
  readonly landmarks: WeightFiles;
}

/** MediaPipe's own thresholds. */
const LEAST_PALM = 0.5;
const LEAST_PRESENCE = 0.5;

/** A hand that holds something is hardly one to the landmark network: where the palm is sure, little will do. */
const GRASPING = { palm: 0.7, presence: 0.05 };

/** Regions that share more than this show one hand. */
const SAME_HAND = 0.5;

const MOST_HANDS = 2;

/** Pictures between two searches for a second hand. */
const SEARCH_EVERY = 6;

interface Found {
  readonly hand: SeenHand;
  readonly region: Region;
}

/** Finds hands in one picture after another. */
export class HandTracker {
  readonly #palm: PalmProgram;
  readonly #landmarks: LandmarkProgram;
  #seen: readonly SeenHand[] = [];
  #pictures = 0;

  private constructor(palm: PalmProgram, landmarks: LandmarkProgram) {
    this.#palm = palm;
    this.#landmarks = landmarks;
  }

  /** @throws InvalidFileError for weights that are not of these networks. */
  static async create(device: Device, weights: HandWeights): Promise<HandTracker> {
    const palm = await compilePalm(device, weights.palm);
    try {
      return new HandTracker(palm, await compileLandmarks(device, weights.landmarks));
    } catch (error) {
      palm.destroy();
      throw error;
    }
  }

  /** The hands in the next picture, at most two, the surest first. */
  async next(picture: Picture): Promise<readonly SeenHand[]> {
    const found: Found[] = [];
    const look = async (region: Region, leastPresence: number): Promise<boolean> => {
      if (found.length === MOST_HANDS || isKnown(found, region)) return false;
      const hand = await this.#look(picture, region, leastPresence);
      if (!hand) return false;
      // Two regions may lead to one hand.
      const own = regionOfLandmarks(hand.points);
      if (isKnown(found, own)) return false;
      found.push({ hand, region: own });
      return true;
    };
    const search = async (view: Region) => {
      for (const { region, score } of await this.#palms(picture, view))
        await look(region, score >= GRASPING.palm ? GRASPING.presence : LEAST_PRESENCE);
    };
    for (const { points } of this.#seen) {
      const region = regionOfLandmarks(points);
      if (await look(region, LEAST_PRESENCE)) continue;
      await search({ ...region, size: 2 * region.size, angle: 0 });
    }
    if (found.length < MOST_HANDS && (found.length === 0 || this.#pictures % SEARCH_EVERY === 0))
      for (const views of searchedViews(picture)) {
        for (const view of views) await search(view);
        if (found.length > 0) break;
      }
    this.#pictures++;
    found.sort((a, b) => b.hand.presence - a.hand.presence);
    this.#seen = found.map(({ hand }) => hand);
    return this.#seen;
  }

  /** Forgets the hands of the picture before: the next one is of another video. */
  reset(): void {
    this.#seen = [];
    this.#pictures = 0;
  }

  destroy(): void {
    this.#palm.destroy();
    this.#landmarks.destroy();
  }

  async #palms(picture: Picture, view: Region): Promise<PalmRegion[]> {
    const { palms } = await this.#palm.run({ image: cropRegion(picture, view, PALM_SIZE, 'black') });
    return palmRegions(await numbers(palms), view, LEAST_PALM);
  }

  async #look(picture: Picture, region: Region, leastPresence: number): Promise<SeenHand | undefined> {
    if (!(region.size > 1)) return undefined;
    const image = cropRegion(picture, region, LANDMARK_SIZE, 'edge');
    const outputs = await this.#landmarks.run({ image });
    const [points, world, presences, sides] = await Promise.all(
      [outputs.points, outputs.world, outputs.presence, outputs.handedness].map(numbers),
    );
    if (!(presences[0] >= leastPresence)) return undefined;
    const right = sides[0];
    return {
      side: right > 0.5 ? 'right' : 'left',
      sideCertainty: Math.max(right, 1 - right),
      presence: presences[0],
      points: Array.from(
        { length: 21 },
        (_, i): Point2 =>
          fromRegion(region, points[3 * i] / LANDMARK_SIZE, points[3 * i + 1] / LANDMARK_SIZE),
      ),
      world: turned(world, region.angle),
    };
  }
}

const isKnown = (found: readonly Found[], region: Region): boolean =>
  found.some((other) => overlap(other.region, region) > SAME_HAND);

/**
 * Parts of a picture to search, the coarsest first: the whole, where palms of a sixth of it are found, then squares
 * that overlap, for palms that are smaller.
 */
function searchedViews({ width, height }: Picture): Region[][] {
  const short = Math.min(width, height);
  const squares = (size: number): Region[] => {
    const along = (length: number) => {
      const count = Math.max(1, Math.ceil((1.5 * length) / size - 0.5));
      return Array.from({ length: count }, (_, i) =>
        count === 1 ? length / 2 : size / 2 + (i * (length - size)) / (count - 1),
      );
    };
    return along(height).flatMap((y) => along(width).map((x) => ({ x, y, size, angle: 0 })));
  };
  return [
    [{ x: width / 2, y: height / 2, size: Math.max(width, height), angle: 0 }],
    squares(short),
    squares(0.6 * short),
  ];
}

/** Points about z, from the region's axes to the picture's. */
function turned(points: Float32Array, angle: number): Float64Array {
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  return Float64Array.from(points, (value, i) => {
    if (i % 3 === 2) return value;
    return i % 3 === 0 ? cosine * value - sine * points[i + 1] : sine * points[i - 1] + cosine * value;
  });
}

const numbers = async (tensor: DeviceTensor): Promise<Float32Array> => (await tensor.read()) as Float32Array;
