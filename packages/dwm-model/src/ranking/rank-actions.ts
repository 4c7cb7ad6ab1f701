/**
 * Choosing an action by simulating it: every candidate's hands are shown to the model in the same scene, and what the
 * model makes of them is compared with a goal. Clips are not composited, which takes the weakest changes away. The
 * scene is encoded once; the pipeline makes one clip at a time, so candidates and seeds take turns.
 */
import { randomReference } from '@dwm/core-tensor';
import { checkSameSize } from '../metrics/clip.ts';
import { bootstrapMean, type Interval } from '../metrics/index.ts';
import type { GenerateOptions } from '../pipeline/options.ts';
import type { DwmPipeline } from '../pipeline/pipeline.ts';
import type { Latents, Video } from '../video/video.ts';
import { type Distance, latentDistance } from './distance.ts';
import { pictureGoal, type TextGoal, textGoal } from './goal.ts';

/** What simulates: a pipeline, or something that knows better. */
export type WorldModel = Pick<DwmPipeline, 'encodeStatic' | 'generate' | 'vae'>;

/** The scene that actions are ranked in. */
export interface RankScene {
  /** The scene along the camera path that all candidates share. */
  readonly staticVideo: Video;
  /** Its `encodeStatic`, where it is known already. */
  readonly staticLatents?: Latents;
  /** Where a candidate has none of its own. */
  readonly prompt: GenerateOptions['prompt'];
}

/** One action to rank. */
export interface Candidate {
  readonly name: string;
  /** Its hands on black, as long and as large as the static video. */
  readonly handVideo: Video;
  readonly prompt?: GenerateOptions['prompt'];
}

/** Options of `rankActions`. */
export interface RankOptions
  extends Pick<GenerateOptions, 'numInferenceSteps' | 'guidanceScale' | 'seed' | 'signal'> {
  /** Clips of each candidate, from `seed` on; 1 if left out. All candidates see the same seeds. */
  readonly seeds?: number;
  /** To the frames of a goal; `latentDistance` of the model if left out. A goal in words has its own. */
  readonly distance?: Distance;
  /** Is told what is odd about a candidate's hands, once. */
  readonly onWarning?: (line: string) => void;
  readonly onClip?: (done: number, total: number) => void;
}

/** A candidate with its distances to the goal. */
export interface Ranked {
  readonly name: string;
  /** Place among the candidates as they were given. */
  readonly index: number;
  /** Distance to the goal of every seed, and their mean with its 95% interval; small is good. */
  readonly distances: readonly number[];
  readonly distance: Interval;
  /** Share of the bootstrap's resamples of the seeds in which this candidate is the best. */
  readonly probabilityBest: number;
  /** The clip of the first seed. */
  readonly outcome: Video;
}

const RESAMPLES = 1000;

/**
 * @param goal how the scene is to look in the end: frames, which are compared with the last ones of each clip, or
 *   words, which the last frame is compared with.
 * @returns candidates, the best first.
 * @throws DwmError naming a candidate or goal whose size differs from the static video's.
 */
export async function rankActions(
  model: WorldModel,
  scene: RankScene,
  candidates: readonly Candidate[],
  goal: Video | TextGoal,
  options: RankOptions = {},
): Promise<Ranked[]> {
  const { staticVideo } = scene;
  const { frames, height, width } = staticVideo;
  const first = { name: 'the static video', clip: staticVideo };
  checkSameSize([first, ...candidates.map(({ name, handVideo }) => ({ name, clip: handVideo }))]);
  const { seeds = 1, seed = 0, distance = latentDistance(model.vae), signal, onClip, onWarning } = options;
  const { numInferenceSteps, guidanceScale } = options;
  const toGoal = 'text' in goal ? await textGoal(goal) : pictureGoal(goal, staticVideo, distance);

  const staticLatents =
    scene.staticLatents ?? (await model.encodeStatic(staticVideo, { frames, height, width }, signal));
  const clips = new Map<number, Video>();
  const distances: number[][] = candidates.map(() => []);
  let done = 0;
  try {
    for (const [c, { name, handVideo, prompt = scene.prompt }] of candidates.entries()) {
      for (let s = 0; s < seeds; s++) {
        const made = await model.generate({
          ...{ staticVideo, handVideo, prompt, staticLatents, height, width, numFrames: frames },
          ...{ numInferenceSteps, guidanceScale, composite: false, seed: seed + s, signal },
          onWarning: (line) => s === 0 && onWarning?.(`${name}: ${line}`),
        });
        const data = made.data.subarray(0, staticVideo.data.length);
        const clip = { data, frames, height, width };
        if (s === 0) clips.set(c, clip);
        distances[c].push(await toGoal(clip));
        onClip?.(++done, candidates.length * seeds);
      }
    }
  } finally {
    if (!scene.staticLatents) staticLatents.destroy();
  }
  return rankedBy(
    candidates.map(({ name }, i) => ({ name, distances: distances[i], outcome: clips.get(i)! })),
  );
}

/**
 * The order of candidates whose clips were made, and how sure it is.
 * @param candidates each with the distance of its clip of every seed, and the first of these clips.
 */
export function rankedBy(candidates: readonly Pick<Ranked, 'name' | 'distances' | 'outcome'>[]): Ranked[] {
  const best = probabilitiesOfBest(candidates.map(({ distances }) => distances));
  return candidates
    .map(({ name, distances, outcome }, index) => ({
      name,
      index,
      distances,
      distance: bootstrapMean(distances)!,
      probabilityBest: best[index],
      outcome,
    }))
    .sort((a, b) => a.distance.mean - b.distance.mean);
}

/** How often each row's mean is the lowest when the columns, which are seeds, are drawn again with replacement. */
export function probabilitiesOfBest(distances: readonly (readonly number[])[]): number[] {
  const seeds = distances[0].length;
  const draws = randomReference({ count: RESAMPLES * seeds, distribution: 'uniform', stream: 0 }, [9, 0]);
  const wins = distances.map(() => 0);
  for (let r = 0; r < RESAMPLES; r++) {
    const drawn = Array.from(draws.subarray(r * seeds, (r + 1) * seeds), (value) =>
      Math.floor(value * seeds),
    );
    const sums = distances.map((row) => drawn.reduce((sum, s) => sum + row[s], 0));
    wins[sums.indexOf(Math.min(...sums))]++;
  }
  return wins.map((count) => count / RESAMPLES);
}
