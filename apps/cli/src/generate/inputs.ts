/** Reading what a clip is made from: videos or folders of frames, captions, tensors. */
import { readFile } from 'node:fs/promises';
import { InvalidFileError } from '@dwm/core-tensor';
import { type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor/files';
import { fileProblem, readRegularText, readSafetensors } from '@dwm/core-tensor/node';
import type { Draws, FamilyDefaults, PromptEmbeds } from '@dwm/dwm-model';
import type { LatentSize } from '@dwm/dwm-model/parts';
import {
  type ClipTime,
  clipIndices,
  type Frames,
  firstFrames,
  framesInTime,
  readVideo,
  type VideoInfo,
  videoInfo,
} from '@dwm/media/node';
import { exists } from './files.ts';
import type { Job } from './jobs.ts';

/** The videos of one clip. */
export interface ClipVideos {
  readonly staticVideo: Frames;
  readonly handVideo: Frames;
  readonly truth?: Frames;
}

/** The videos of one clip, and what they are cut from. */
export interface ReadVideos extends ClipVideos {
  readonly sources: Readonly<Record<'staticVideo' | 'handVideo', VideoInfo>>;
  /** Of each video the first so many, whatever their rate, where the model takes them so. */
  readonly first?: number;
}

/**
 * The videos of a clip at their own speed: their first frames at the clip's rate, the last one repeated in a short
 * video. Where both have exactly the clip's frames these are taken as they are, whatever their rate: the original's way.
 * @param takes `first`: the first frames whatever their rate, as many as the shortest video has, then the last of these.
 */
export async function readVideos(
  job: Job,
  time: ClipTime,
  takes: FamilyDefaults['takes'] = 'in-time',
): Promise<ReadVideos> {
  const folderFps = time.fps;
  const sources = {
    staticVideo: await videoInfo(job.staticVideo, { folderFps }),
    handVideo: await videoInfo(job.handVideo, { folderFps }),
  };
  const truth = job.truth !== undefined && (await exists(job.truth)) ? job.truth : undefined;
  const whole = Object.values(sources).every(({ frames }) => frames === time.frames);
  if (takes === 'first') {
    const lengths = [...Object.values(sources), ...(truth ? [await videoInfo(truth, { folderFps })] : [])];
    const { first, indices } = firstFrames(lengths, time.frames);
    const read = async (path: string) => ({
      ...(await readVideo(path, { folderFps, indices: () => indices })),
      fps: time.fps,
    });
    const videos = { staticVideo: await read(job.staticVideo), handVideo: await read(job.handVideo) };
    return { ...videos, truth: truth === undefined ? undefined : await read(truth), sources, first };
  }
  const read = async (path: string) => {
    if (whole) return readClip(path, folderFps, time);
    const clip = await readVideo(path, { folderFps, indices: (info) => framesInTime(info, time) });
    return { ...clip, fps: time.fps };
  };
  return {
    staticVideo: await read(job.staticVideo),
    handVideo: await read(job.handVideo),
    truth: truth === undefined ? undefined : await read(truth),
    sources,
  };
}

/**
 * All frames of a video file, or of a folder of pictures in the order of their numbers; or those of a clip.
 * @param folderFps rate of a folder, which does not say.
 * @param warn is told of pixels that are not square.
 */
export async function readClip(
  path: string,
  folderFps: number,
  time?: ClipTime,
  warn?: (line: string) => void,
): Promise<Frames> {
  return readVideo(path, { folderFps, warn, indices: time && ((info) => clipIndices(info, time)) });
}

/** The caption of a clip, trimmed: one that lies beside other files. */
export const readPrompt = (path: string): Promise<string> => captionOf(path, readRegularText(path));

/** The caption that the user names, who may give a pipe: `<(…)`, `/dev/stdin`. It can be read once only. */
export const readNamedPrompt = (path: string): Promise<string> => captionOf(path, readFile(path, 'utf8'));

async function captionOf(path: string, text: Promise<string>): Promise<string> {
  try {
    return (await text).trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const problem = code === 'ENOENT' ? 'no caption' : fileProblem(error);
    throw new InvalidFileError(path, `${problem}; write one, or pass --use-empty-prompts`);
  }
}

function pick(file: string, tensors: ReadonlyMap<string, SafetensorsTensor>, names: readonly string[]) {
  const found = names.find((name) => tensors.has(name));
  if (!found) return undefined;
  const tensor = tensors.get(found)!;
  if (!['F32', 'F16', 'BF16', 'F64'].includes(tensor.dtype)) {
    throw new InvalidFileError(file, `${found}: expected a floating-point tensor, got ${tensor.dtype}`, {
      field: found,
    });
  }
  return { shape: tensor.shape, values: toFloat32(tensor) };
}

/** Embeddings and where they came from. */
export interface TextEmbeds extends PromptEmbeds {
  readonly file: string;
  readonly dim: number;
}

/** `prompt_embeds` [1, tokens, dim] and, if there, `negative_prompt_embeds` of the same shape. */
export async function readPromptEmbeds(file: string): Promise<TextEmbeds> {
  const tensors = await readSafetensors(file);
  const read = (field: string) => {
    const found = pick(file, tensors, [field, `in.${field}`]);
    if (!found) return undefined;
    const { shape, values } = found;
    if (
      shape.length < 2 ||
      shape.length > 3 ||
      (shape.length === 3 && shape[0] !== 1) ||
      values.length === 0
    ) {
      throw new InvalidFileError(file, `${field}: expected [1, tokens, dim], got [${shape}]`, { field });
    }
    return { values, tokens: shape[shape.length - 2], dim: shape[shape.length - 1] };
  };
  const prompt = read('prompt_embeds');
  if (!prompt) throw new InvalidFileError(file, 'prompt_embeds is missing', { field: 'prompt_embeds' });
  const negative = read('negative_prompt_embeds');
  const { tokens, dim } = prompt;
  if (negative && (negative.tokens !== tokens || negative.dim !== dim)) {
    throw new InvalidFileError(
      file,
      `negative_prompt_embeds: expected [1, ${tokens}, ${dim}] as prompt_embeds, got [1, ${negative.tokens}, ${negative.dim}]`,
      { field: 'negative_prompt_embeds' },
    );
  }
  return { file, prompt: prompt.values, negative: negative?.values, tokens, dim };
}

/** Final latents that a run kept. @throws InvalidFileError where the file holds none. */
export async function readLatents(file: string): Promise<Float32Array> {
  const { values } = pick(file, await readSafetensors(file), ['latents']) ?? {};
  if (!values) throw new InvalidFileError(file, 'latents is missing', { field: 'latents' });
  return values;
}

/**
 * `latents` [1, frames, C, h, w]: the initial noise. To repeat another program's run exactly the file may
 * also hold the posterior draws `eps.hand` and `eps.static` [1, C, frames, h, w].
 * @param latent size of the video to make, for which see `latentSize`.
 */
export async function readDraws(
  file: string,
  { channels, frames, height, width }: LatentSize,
): Promise<Draws> {
  const tensors = await readSafetensors(file);
  const read = (names: string[], expected: number[]) => {
    const found = pick(file, tensors, names);
    if (found && found.shape.join() !== expected.join()) {
      throw new InvalidFileError(
        file,
        `${names[0]}: expected [${expected.join(', ')}] for this model and size, got [${found.shape.join(', ')}]`,
        { field: names[0], expected, actual: found.shape },
      );
    }
    return found?.values;
  };
  const posterior = [1, channels, frames, height, width];
  const latents = read(['latents', 'in.latents'], [1, frames, channels, height, width]);
  if (!latents) throw new InvalidFileError(file, 'latents is missing', { field: 'latents' });
  return { latents, hand: read(['eps.hand'], posterior), static: read(['eps.static'], posterior) };
}
