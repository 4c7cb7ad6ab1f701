/** Candidates: trajectories of one camera path, with a caption beside each. */
import { basename } from 'node:path';
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import type { PromptEmbeds } from '@dwm/dwm-model';
import type { Candidate } from '@dwm/dwm-model/ranking';
import type { Trajectory } from '@dwm/renderer';
import { exists } from '../generate/files.ts';
import { readPrompt } from '../generate/inputs.ts';
import { type ClipFiles, drawHands } from '../render/clips.ts';
import type { Reporter } from '../report.ts';

/** What the clip of a candidate is called. */
export const stemOf = (candidate: string): string => basename(candidate).replace(/\.[^.]+$/, '');

export const captionOf = (candidate: string): string => candidate.replace(/\.[^.]+$/, '.txt');

/** @throws InvalidArgumentError for two whose clips would be one file. */
export function checkNames(candidates: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const candidate of candidates) {
    const before = seen.get(stemOf(candidate));
    seen.set(stemOf(candidate), candidate);
    if (before !== undefined)
      throw new InvalidArgumentError(
        'candidates',
        `${before} and ${candidate} have one name, which their clips are called by; rename one of them`,
      );
  }
}

/** @throws InvalidArgumentError naming the trajectory whose camera is not that of the first. */
export function checkCameras(names: readonly string[], [first, ...others]: readonly Trajectory[]): void {
  const path = ({ frames }: Trajectory) => JSON.stringify(frames.map(({ camera }) => camera));
  for (const [i, other] of others.entries()) {
    if (path(other) === path(first)) continue;
    throw new InvalidArgumentError(
      'candidates',
      `${names[i + 1]} has another camera path than ${names[0]}; candidates are compared from one`,
    );
  }
}

/** @param prompt of candidates without a caption; `embeds` are for all of them, in place of words. */
export async function drawCandidates(
  device: Device,
  names: readonly string[],
  files: readonly ClipFiles[],
  { prompt = '', embeds }: { readonly prompt?: string; readonly embeds?: PromptEmbeds },
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Required<Candidate>[]> {
  const candidates: Required<Candidate>[] = [];
  for (const [i, name] of names.entries()) {
    const text = captionOf(name);
    const caption = (await exists(text)) ? await readPrompt(text) : prompt;
    const handVideo = await drawHands(device, files[i], reporter, { signal });
    candidates.push({ name: basename(name), handVideo, prompt: embeds ?? caption });
  }
  return candidates;
}
