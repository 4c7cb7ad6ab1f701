/**
 * N clips from a first seed on, made by several processes. Seeds are handed out in order and only as many as may
 * still be needed, so the clips are the first N good seeds whatever the number of workers; what is on the disk
 * already is kept, and `dataset.txt` lists what there is.
 */
import { join } from 'node:path';
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { SHORTEST_ACT } from '../episode.ts';
import { FIRST_TEST_SEED } from '../types.ts';
import { GENERATOR_VERSION } from '../version.ts';
import { firstSeed, listLine } from './clip-files.ts';
import type { DatasetOptions, DatasetReport } from './dataset-options.ts';
import { datasetReport, seedsOf } from './dataset-report.ts';
import { checkSettings, clipSettings } from './dataset-settings.ts';
import { isWhole, knownResults, resultOf } from './known-results.ts';
import type { ClipRequest, ClipResult } from './make-clip.ts';
import { WorkerTeam } from './worker-team.ts';

/** More in a row than bad luck explains. */
const HOPELESS = 200;
/** Every so many seeds the codec is measured. */
const MEASURED = 64;

/**
 * @throws InvalidArgumentError for a seed range that leaves its split, a folder that was made with other options, and
 * one of another version of the generator that lacks clips; InvalidFileError for a part that cannot be used; DwmError
 * where a worker fails; AbortError when stopped, with all finished clips listed.
 */
export async function writeDataset(options: DatasetOptions): Promise<DatasetReport> {
  const { root, split, count, signal } = options;
  const first = firstSeed(split) + options.seed;
  const end = split === 'train' ? FIRST_TEST_SEED : Number.MAX_SAFE_INTEGER;
  if (first + count > end) {
    throw new InvalidArgumentError(
      'seed',
      `${count} clips from ${options.seed} on pass the last training seed, ${FIRST_TEST_SEED - 1}; start lower`,
    );
  }
  const { acts = 1, frames } = options;
  if (frames < acts * SHORTEST_ACT && acts > 1)
    throw new InvalidArgumentError(
      'acts',
      `${acts} acts need ${acts * SHORTEST_ACT} frames or more, got ${frames}; ask for fewer acts or more frames`,
    );
  const version = await checkSettings(root, options);
  const known = await knownResults(root);
  if (version !== GENERATOR_VERSION && !isWhole(known, first, count)) {
    throw new InvalidArgumentError(
      'version',
      `${root} was made by version ${version} of the generator, expected ${GENERATOR_VERSION} to add clips; choose another folder`,
    );
  }
  const results = new Map<number, ClipResult>();
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let next = first;
  let [good, kept, inWork, inARow] = [0, 0, 0, 0];
  const take = (result: ClipResult, before: boolean) => {
    results.set(result.seed, result);
    inARow = result.rejected ? inARow + 1 : 0;
    if (result.rejected) return;
    good++;
    if (before) kept++;
  };
  /** The next seed to work on; undefined when those in work may be enough. */
  const nextSeed = (): number | undefined => {
    for (; good + inWork < count && next < end; next++) {
      const old = known.get(next);
      if (!old) return next++;
      take(old, true);
    }
    return undefined;
  };
  const request = (seed: number): ClipRequest => ({
    seed,
    settings: clipSettings(seed, options),
    measureCodec: seed % MEASURED === 0,
  });
  const list = join(root, 'dataset.txt');

  const team = new WorkerTeam(options);
  /** Makes one clip after the other until those in work may be enough. */
  const work = async () => {
    while (!signal?.aborted) {
      if (inARow >= HOPELESS) throw hopeless(results);
      const seed = nextSeed();
      if (seed === undefined) return;
      inWork++;
      const result = await team.make(request(seed));
      inWork--;
      take(result, false);
      options.onClip?.({ clips: good, kept, count, seconds: seconds(), rejected: results.size - good });
    }
  };
  try {
    if (!options.each) await Promise.all(Array.from({ length: team.size }, work));
    // As many seeds as may be needed at least, until they are enough: the same ones that one run takes.
    else
      while (good < count && next < end) {
        const missing = Array.from({ length: Math.min(count - good, end - next) }, (_, i) => next + i);
        next += missing.length;
        const unknown = missing.filter((seed) => !known.has(seed));
        await options.each(unknown, async (seed) => void (await team.make(request(seed))), team.size);
        for (const seed of missing) take(known.get(seed) ?? (await resultOf(root, seed)), known.has(seed));
        if (inARow >= HOPELESS) throw hopeless(results);
      }
  } finally {
    team.stop();
    if (results.size > 0)
      await writeFileAtomic(
        list,
        seedsOf([...results.values()])
          .map((seed) => `${listLine(seed)}\n`)
          .join(''),
      );
  }
  signal?.throwIfAborted();
  return datasetReport(list, [...results.values()], kept, seconds());
}

function hopeless(results: ReadonlyMap<number, ClipResult>): DwmError {
  const reason = [...results.values()].at(-1)?.rejected;
  return new DwmError(
    'synth-rejected',
    `actions: the last ${HOPELESS} seeds were all rejected (${reason}); ask for other actions or a larger picture`,
  );
}
