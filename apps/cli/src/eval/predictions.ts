/** Ready videos of the clips, as a method of an evaluation. */
import { basename, join } from 'node:path';
import { DwmError } from '@dwm/core-tensor';
import { exists } from '../generate/files.ts';
import type { Flags } from './flags.ts';
import type { Method } from './judge.ts';
import { predictionNames } from './original-results.ts';
import { type ClipFiles, readEvalClip, type Size } from './read-clips.ts';

/** The scored video of each clip, by the clip's name. */
export async function findPredictions(
  flags: Flags,
  clips: readonly ClipFiles[],
): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const clip of clips) {
    const { name } = clip;
    const paths = flags.predVideo
      ? [flags.predVideo]
      : predictionNames(clip.line ?? clip.truth, name).map((file) => join(flags.pred!, file));
    let path: string | undefined;
    for (const candidate of paths) if (path === undefined && (await exists(candidate))) path = candidate;
    if (path === undefined) {
      const [wanted, flag] = flags.predVideo
        ? [flags.predVideo, '--pred-video']
        : [join(flags.pred!, `${name}.mp4`), '--pred'];
      throw new DwmError(
        'missing-file',
        `${wanted}: no such file; expected the video of ${name}, or a folder of its frames (${flag})`,
        { file: paths[0], looked: paths },
      );
    }
    files.set(name, path);
  }
  return files;
}

export function predictionsMethod(
  flags: Flags,
  files: ReadonlyMap<string, string>,
  size: Size,
  warn: (line: string) => void,
): Method {
  return {
    name: basename(flags.predVideo ?? flags.pred!),
    kind: 'predictions',
    make: async ({ name }) => {
      const path = files.get(name)!;
      const read = await readEvalClip({ name, index: 0, truth: path }, size, warn);
      return { name: path, clip: read.truth };
    },
  };
}
