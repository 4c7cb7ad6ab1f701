/** What the two networks see in parts of a picture: palms in an upright square, a hand in a turned one. */
import type { Device, DeviceTensor } from '@dwm/core-tensor';
import { compileLandmarks, LANDMARK_SIZE, type LandmarkProgram } from '../networks/landmarks.ts';
import { OwnHandHead } from '../networks/own-hands.ts';
import { compilePalm, PALM_SIZE, type PalmProgram } from '../networks/palm.ts';
import type { WeightFiles } from '../networks/weights.ts';
import { cropRegion } from './crop.ts';
import { pictureOf } from './own-points.ts';
import { type PalmRegion, palmRegions } from './palms.ts';
import { fromRegion, regionOfLandmarks } from './region.ts';
import type { Picture, Point2, Region, SeenHand } from './types.ts';

/** The weights of both networks. */
export interface HandWeights {
  readonly palm: WeightFiles;
  readonly landmarks: WeightFiles;
  /** Our head on the landmark network, for hands that reach out. */
  readonly own?: WeightFiles;
}

/** MediaPipe's own threshold. */
const LEAST_PALM = 0.5;

/** After these its own square changes little. */
const CLOSER_LOOKS = 2;

/** Both networks, compiled. */
export class Eyes {
  readonly #palm: PalmProgram;
  readonly #landmarks: LandmarkProgram;
  readonly #own: OwnHandHead | undefined;

  private constructor(palm: PalmProgram, landmarks: LandmarkProgram, own?: OwnHandHead) {
    this.#palm = palm;
    this.#landmarks = landmarks;
    this.#own = own;
  }

  /** @throws InvalidFileError for weights that are not of these networks. */
  static async create(device: Device, weights: HandWeights): Promise<Eyes> {
    const own = weights.own && new OwnHandHead(weights.own);
    const palm = await compilePalm(device, weights.palm);
    try {
      return new Eyes(palm, await compileLandmarks(device, weights.landmarks), own);
    } catch (error) {
      palm.destroy();
      throw error;
    }
  }

  /** The surest first. `view` is not turned. */
  async palms(picture: Picture, view: Region): Promise<PalmRegion[]> {
    const { palms } = await this.#palm.run({ image: cropRegion(picture, view, PALM_SIZE, 'black') });
    return palmRegions(await numbers(palms), view, LEAST_PALM);
  }

  /** What would be a hand there, however unlikely it is. */
  async hand(picture: Picture, region: Region): Promise<SeenHand> {
    const image = cropRegion(picture, region, LANDMARK_SIZE, 'edge');
    const outputs = await this.#landmarks.run({ image });
    const { points: ofPicture, world: ofSpace, presence, handedness } = outputs;
    const ofOwn = this.#own ? [outputs.features] : [];
    const [points, world, presences, sides, features] = await Promise.all(
      [ofPicture, ofSpace, presence, handedness, ...ofOwn].map(numbers),
    );
    const right = sides[0];
    return {
      side: right > 0.5 ? 'right' : 'left',
      sideCertainty: Math.max(right, 1 - right),
      presence: presences[0],
      atOnce: true,
      points: Array.from(
        { length: 21 },
        (_, i): Point2 =>
          fromRegion(region, points[3 * i] / LANDMARK_SIZE, points[3 * i + 1] / LANDMARK_SIZE),
      ),
      world: turned(world, region.angle),
      ...(this.#own && { own: { region, reading: this.#own.read(features) } }),
    };
  }

  /** The same hand as our head reads it where it sees it best: in the square of its own points. */
  async closer(picture: Picture, hand: SeenHand): Promise<SeenHand> {
    let own = hand.own;
    for (let look = 0; own && look < CLOSER_LOOKS; look++) {
      const region = regionOfLandmarks(pictureOf(own, own.reading.rightness > 0.5 ? 'right' : 'left'));
      if (!(region.size > 1)) break;
      own = (await this.hand(picture, region)).own;
    }
    return own ? { ...hand, own } : hand;
  }

  destroy(): void {
    this.#palm.destroy();
    this.#landmarks.destroy();
  }
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
