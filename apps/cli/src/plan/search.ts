/** The search for a hand path: rounds of paths that a world model simulates and a goal ranks. */
import type { Device } from '@dwm/core-tensor';
import type { Latents, Video } from '@dwm/dwm-model';
import {
  type Candidate,
  type CemState,
  type Ranked,
  type RankOptions,
  rankActions,
  refine,
  type WorldModel,
} from '@dwm/dwm-model/ranking';
import { type HandModels, PosedHands, renderHandClip, type Trajectory } from '@dwm/renderer';
import { CHOICES, COORDINATES, describePoint, handPath, type PathSetting } from './hand-path.ts';

/** What is searched in, however it was given. */
export interface Task {
  readonly setting: PathSetting;
  readonly staticVideo: Video;
  readonly goal: Video;
  readonly hands: HandModels;
  /** What happens, in the words that a model was trained with; nothing where nobody knows. */
  readonly caption: string;
  /** What a trajectory does in the physics, in words and as a share of the way; only where there is any. */
  readonly check?: (trajectory: Trajectory) => Promise<{ opened: number; text: string }>;
}

/** Paths a round, rounds, and paths that the next round is drawn around: a few minutes on two cores with a small model. */
export const SEARCH = { population: 16, rounds: 3, elite: 4 } as const;

export interface SearchOptions extends Omit<RankOptions, 'onClip'> {
  readonly population: number;
  readonly rounds: number;
  readonly elite: number;
  readonly seed: number;
  readonly prompt: Candidate['prompt'];
  readonly onClip?: (round: number, done: number, total: number) => void;
  /** After every round, with its paths from the best on. */
  readonly onRound?: (
    state: CemState,
    ranked: readonly Ranked[],
    candidates: readonly Candidate[],
  ) => Promise<void>;
}

interface PathCandidate extends Candidate {
  readonly trajectory: Trajectory;
}

/**
 * @param state where an earlier search stopped.
 * @param simulating is told every path before the model simulates it.
 */
export async function searchPath(
  device: Device,
  model: WorldModel,
  { setting, staticVideo, goal, hands }: Task,
  state: CemState,
  options: SearchOptions,
  simulating?: (candidate: PathCandidate) => void,
): Promise<CemState> {
  const { population, rounds, elite, prompt, onClip, onRound, ...ranking } = options;
  const cem = { population, elite, seed: options.seed, choices: CHOICES, size: COORDINATES };
  if (state.round >= rounds) return state;
  const posed = new PosedHands(device, hands);
  let staticLatents: Latents | undefined;
  try {
    staticLatents = await model.encodeStatic(staticVideo, staticVideo, options.signal);
    const scene = { staticVideo, staticLatents, prompt: prompt ?? '' };
    let searched = state;
    while (searched.round < rounds) {
      const { round } = searched;
      let found: { ranked: readonly Ranked[]; candidates: readonly Candidate[] } | undefined;
      searched = await refine(searched, cem, async (points) => {
        const candidates: PathCandidate[] = [];
        for (const point of points) {
          const trajectory = handPath(point, setting);
          const handVideo = await renderHandClip(device, posed, trajectory, { signal: options.signal });
          candidates.push({ name: describePoint(point, setting), handVideo, trajectory });
          simulating?.(candidates.at(-1)!);
        }
        const ranked = await rankActions(model, scene, candidates, goal, {
          ...ranking,
          onClip: (done, total) => onClip?.(round, done, total),
        });
        found = { ranked, candidates };
        const costs = new Map(ranked.map(({ index, distance: { mean } }) => [index, mean]));
        return points.map((_, i) => costs.get(i)!);
      });
      await onRound?.(searched, found!.ranked, found!.candidates);
    }
    return searched;
  } finally {
    staticLatents?.destroy();
    posed.destroy();
  }
}
