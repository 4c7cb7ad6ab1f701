/**
 * One clip from its seed to its files: simulate, draw, look at it, write. A device and its pipelines serve any number
 * of clips.
 */
import { type Device, InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import { readJsonFile, writeFileAtomic } from '@dwm/core-tensor/node';
import { encodeVideo, type Frames, readVideo } from '@dwm/media/node';
import { writeTransforms } from '@dwm/renderer';
import { decodeImage } from '@dwm/renderer/node';
import { type ClipPasses, PassRenderer, passesProblem } from '../passes/index.ts';
import { simulate } from '../simulate.ts';
import { ACTIONS, type Action, type ClipSettings, type SimulatedClip } from '../types.ts';
import type { Part } from '../world/parts.ts';
import { clipPaths, rejectionPath } from './clip-files.ts';
import { type StateLog, stateLog } from './state-log.ts';

/**
 * Bits a pixel and frame, ten times what is usual: training data should not teach the codec. What 4:2:0 takes from
 * colour stays lost.
 */
const BITS_PER_PIXEL = 20;

/** A clip to make. */
export interface ClipRequest {
  readonly seed: number;
  readonly settings: ClipSettings;
  /** Decode what was written and say how far it is from what was drawn. */
  readonly measureCodec?: boolean;
}

/** What was made, or why nothing was. */
export interface ClipResult {
  readonly seed: number;
  readonly action: Action;
  /** Why there is no clip. */
  readonly rejected?: string;
  /** Lowest PSNR of the three videos, dB. */
  readonly codecPsnr?: number;
}

/** Makes and writes clips, one after the other, on one device. */
export class ClipMaker {
  readonly #passes: PassRenderer;
  readonly #parts: readonly Part[];

  /** @param parts things of a user's that may stand in the rooms. */
  constructor(device: Device, parts: readonly Part[] = []) {
    this.#parts = parts;
    this.#passes = new PassRenderer(device, decodeImage);
  }

  /** The clip and its pictures, or why there are none. */
  async draw(
    seed: number,
    settings: ClipSettings,
  ): Promise<{ clip: SimulatedClip; passes: ClipPasses } | { rejected: string; action: Action }> {
    const clip = await simulate(seed, settings, this.#parts);
    if ('rejected' in clip) return { rejected: clip.rejected, action: clip.action };
    const passes = await this.#passes.render(clip);
    const problem = passesProblem(clip, passes);
    return problem ? { rejected: problem, action: clip.action } : { clip, passes };
  }

  /** Writes the files of a clip, or of its rejection, below `root`. */
  async make(root: string, { seed, settings, measureCodec }: ClipRequest): Promise<ClipResult> {
    const drawn = await this.draw(seed, settings);
    if ('rejected' in drawn) {
      const { rejected, action } = drawn;
      await writeFileAtomic(rejectionPath(root, seed), `${JSON.stringify({ seed, action, rejected })}\n`);
      return { seed, action, rejected };
    }
    const { clip, passes } = drawn;
    const paths = clipPaths(root, seed);
    const videos: readonly (readonly [string, Frames])[] = [
      [paths.static, passes.staticVideo],
      [paths.hands, passes.handVideo],
      [paths.video, passes.interaction],
    ];
    for (const [path, frames] of videos)
      await writeFileAtomic(path, await encodeVideo(frames, { bitrate: bitrate(frames) }));
    await writeFileAtomic(paths.prompt, `${clip.caption}\n`);
    await writeFileAtomic(paths.trajectory, writeTransforms(clip.trajectory));
    await writeFileAtomic(paths.state, `${JSON.stringify(stateLog(clip))}\n`);
    const codecPsnr = measureCodec ? Math.min(...(await Promise.all(videos.map(written)))) : undefined;
    return { seed, action: clip.action, ...(codecPsnr !== undefined && { codecPsnr }) };
  }

  destroy(): void {
    this.#passes.destroy();
  }
}

const bitrate = ({ width, height, fps }: Frames): number =>
  Math.max(1_000_000, Math.round(BITS_PER_PIXEL * width * height * fps));

/** PSNR in dB between a clip and the file it was written to. */
async function written([path, frames]: readonly [string, Frames]): Promise<number> {
  const { data } = await readVideo(path);
  let sum = 0;
  for (let i = 0; i < frames.data.length; i++) sum += (data[i] - frames.data[i]) ** 2;
  return 10 * Math.log10(255 ** 2 / Math.max(sum / frames.data.length, 1e-9));
}

/**
 * The state log of a written clip.
 * @throws InvalidFileError for one that does not say what the hands do.
 */
export async function readStateLog(root: string, seed: number): Promise<StateLog> {
  const path = clipPaths(root, seed).state;
  const log = await readJsonFile(path, 'state log');
  const { action, acts } = log;
  if (!isAction(action)) throw damaged(path, 'action', action);
  if (acts !== undefined && !(Array.isArray(acts) && acts.every((act) => isAction(act?.action))))
    throw damaged(path, 'acts', acts);
  return log as unknown as StateLog;
}

/** Why an earlier run made no clip of a seed. */
export async function readRejection(root: string, seed: number): Promise<ClipResult> {
  const path = rejectionPath(root, seed);
  const { action, rejected } = await readJsonFile(path, 'result');
  if (isAction(action) && typeof rejected === 'string') return { seed, action, rejected };
  throw damaged(path, 'action', action);
}

const isAction = (action: unknown): action is Action => ACTIONS.includes(action as Action);

const damaged = (path: string, field: string, value: unknown) =>
  new InvalidFileError(
    path,
    `is damaged (${field}: ${quote(value)}), expected what dwm synth writes; delete it, the clip is made anew`,
  );
