/** One scene with several hands, from the original's manifest: what each of them would do. */
import { basename, extname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { isObject, quote } from '@dwm/core-tensor/files';
import { readJsonFile } from '@dwm/core-tensor/node';
import { belowRoot, type Folders, type Job, jobOfVideo } from './jobs.ts';

export interface Variants {
  /** One for each variant, `<label>/<stem>`; all have the same place in the list, and so the same seed. */
  readonly jobs: readonly Job[];
  /** What all of them are told, where the manifest says so. */
  readonly prompt?: string;
  readonly promptFile?: string;
}

const SHARED = ['video_path', 'static_video_path', 'prompt', 'prompt_file'] as const;

/** Of conditions that the released models do not have. */
const DISPARITY = ['static_disparity_video_path', 'hand_disparity_video_path'];

/**
 * @param folders beside `videos/`, for files that the manifest leaves to `video_path`.
 * @param dataRoot that paths may count from.
 * @throws InvalidFileError naming manifest and field.
 */
export async function readVariants(
  file: string,
  folders: Folders,
  dataRoot: string | undefined,
): Promise<Variants> {
  const problem = (field: string, text: string) => new InvalidFileError(file, `${field}: ${text}`, { field });
  const { mode, shared, variants } = await readJsonFile(file, 'a manifest of variants');
  if (mode !== 'hand_video') throw problem('mode', `expected "hand_video", got ${JSON.stringify(mode)}`);
  if (!isObject(shared)) throw problem('shared', 'expected an object of what all variants have');
  if (!Array.isArray(variants) || variants.length === 0)
    throw problem('variants', 'expected a list of { label, hand_video_path }');
  const text = (field: string, value: unknown): string => {
    if (typeof value === 'string' && value.trim() !== '') return value.trim();
    throw problem(field, `expected text, got ${JSON.stringify(value)}`);
  };
  for (const key of DISPARITY)
    if (shared[key] !== undefined && shared[key] !== null)
      throw problem(`shared.${key}`, 'is a condition that this model does not have; leave it out');
  const given: Partial<Record<(typeof SHARED)[number], string>> = {};
  for (const key of SHARED)
    if (shared[key] !== undefined && shared[key] !== null) given[key] = text(`shared.${key}`, shared[key]);
  if (given.prompt !== undefined && given.prompt_file !== undefined)
    throw problem('shared.prompt', 'expected prompt or prompt_file, got both');
  const video = given.video_path && (await belowRoot(given.video_path, dataRoot));
  const beside = video === undefined ? undefined : jobOfVideo(video, folders, 0, '');
  const staticVideo = given.static_video_path
    ? await belowRoot(given.static_video_path, dataRoot)
    : beside?.staticVideo;
  if (staticVideo === undefined)
    throw problem('shared.static_video_path', 'is required, unless shared.video_path is given');
  const whole = video ?? staticVideo;
  const stem = basename(whole, extname(whole));
  const jobs: Job[] = [];
  const labels = new Map<string, number>();
  for (const [i, variant] of variants.entries()) {
    const at = `variants[${i}]`;
    if (!isObject(variant)) throw problem(at, 'expected { label, hand_video_path }');
    const label = text(`${at}.label`, variant.label);
    const folder = label.replace(/[^0-9A-Za-z._-]+/g, '_').replace(/^[._-]+|[._-]+$/g, '');
    if (folder === '')
      throw problem(`${at}.label`, `${quote(label)} leaves no name for a folder; use letters`);
    const earlier = labels.get(folder);
    if (earlier !== undefined)
      throw problem(`${at}.label`, `${quote(label)} names the folder of variants[${earlier}] too`);
    labels.set(folder, i);
    jobs.push({
      name: join(folder, stem),
      staticVideo,
      handVideo: await belowRoot(text(`${at}.hand_video_path`, variant.hand_video_path), dataRoot),
      index: 0,
      ...(beside && { truth: beside.truth, promptFile: beside.promptFile }),
    });
  }
  return {
    jobs,
    ...(given.prompt !== undefined && { prompt: given.prompt }),
    ...(given.prompt_file !== undefined && { promptFile: await belowRoot(given.prompt_file, dataRoot) }),
  };
}
