/** A method scored over all clips, by this process or by several that share them. */
import type { Reporter } from '../report.ts';
import type { Worker } from '../work/claim.ts';
import { contentsOf, contentsOfModel } from '../work/contents.ts';
import type { Flags } from './flags.ts';
import { judge, type Method, type Networks, type Strip } from './judge.ts';
import type { CheckedModel } from './models.ts';
import { type ClipFiles, readEvalClip, type Size } from './read-clips.ts';
import { methodResult } from './summary.ts';
import type { EvalClip, MethodResult } from './types.ts';

/** What all methods are scored with. */
export interface Scoring {
  readonly files: readonly ClipFiles[];
  readonly size: Size;
  readonly networks: Networks;
  readonly worker: Worker | undefined;
  /** What makes the shared results of one evaluation; of another nothing is taken. */
  readonly settings: unknown;
  readonly warn: (line: string) => void;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

interface Scored {
  readonly result: MethodResult;
  readonly strips: readonly Strip[];
  /** Where one process makes all. */
  readonly seconds?: number;
}

/** @param place of the method among all. */
export async function scoreMethod(
  method: Method,
  place: number,
  { files, size, networks, worker, settings, warn, reporter, signal }: Scoring,
): Promise<Scored> {
  async function* read(which: readonly ClipFiles[]): AsyncGenerator<EvalClip> {
    for (const file of which) {
      signal.throwIfAborted();
      yield await readEvalClip(file, size, warn);
    }
  }
  if (worker) {
    const parts = await worker.parts(
      files.map(({ name }) => `${method.name} (${place}): ${name}`),
      settings,
      signal,
      (index) => judge(method, read([files[index]]), networks, () => {}),
    );
    const clips = parts.flatMap(({ result }) => result.clips);
    return {
      result: methodResult(method.name, method.kind, clips),
      strips: parts.flatMap((part) => part.strips),
    };
  }
  const since = performance.now();
  const judged = await judge(method, read(files), networks, (done) =>
    reporter.progress(`${method.name}: clip ${done} of ${files.length}`, done === files.length),
  );
  return { ...judged, seconds: Math.round((performance.now() - since) / 100) / 10 };
}

/** All that the scores depend on. */
export async function contentsOfAll(
  { lpips, promptEmbeds }: Flags,
  clips: readonly ClipFiles[],
  predictions: ReadonlyMap<string, string> | undefined,
  models: readonly CheckedModel[],
): Promise<string[]> {
  const videos = clips.flatMap(({ name, truth, staticVideo, handVideo, promptFile }) => [
    ...[truth, staticVideo, handVideo, promptFile, predictions?.get(name)],
  ]);
  const found = await contentsOf([lpips, promptEmbeds, ...videos]);
  for (const { folder } of models) found.push(...(await contentsOfModel(folder)));
  return found;
}
