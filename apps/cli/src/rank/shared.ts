import type { Video } from '@dwm/dwm-model';
import { type Candidate, type Ranked, rankedBy } from '@dwm/dwm-model/ranking';
import type { Worker } from '../work/claim.ts';

/** `rankActions`, a clip at a time by several processes. */
export async function rankShared(
  worker: Worker,
  candidates: readonly Required<Candidate>[],
  key: unknown,
  { seeds, seed }: { readonly seeds: number; readonly seed: number },
  signal: AbortSignal,
  make: (candidate: Required<Candidate>, seed: number) => Promise<{ distance: number; outcome: Video }>,
): Promise<Ranked[]> {
  const clips = candidates.flatMap((candidate, c) =>
    Array.from({ length: seeds }, (_, i) => ({ candidate, c, seed: seed + i })),
  );
  const names = clips.map(({ candidate, c, seed }) => `${candidate.name} (${c}), seed ${seed}`);
  const made = await worker.parts(names, key, signal, (i) => make(clips[i].candidate, clips[i].seed));
  return rankedBy(
    candidates.map(({ name }, c) => {
      const own = made.slice(c * seeds, (c + 1) * seeds);
      return { name, distances: own.map(({ distance }) => distance), outcome: own[0].outcome };
    }),
  );
}
