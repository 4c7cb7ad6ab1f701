/** `dwm prepare`: a video of a camera that stands still, and its hands, as a sample that `generate` takes. */
import { readFile } from 'node:fs/promises';
import { basename, extname, isAbsolute, join, relative, sep } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { openNodeDevice, whileLocked, withOutput, writeFileAtomic } from '@dwm/core-tensor/node';
import {
  contactSheet,
  decodeFrames,
  type Frames,
  frameAt,
  pixelRemark,
  type RgbImage,
  type VideoInfo,
  videoInfo,
  writePng,
  writeVideo,
} from '@dwm/media/node';
import { NO_HANDS, sampleAt, type Trajectory } from '@dwm/renderer';
import { type Command, Option } from 'commander';
import { exists } from '../generate/files.ts';
import { readNamedPrompt } from '../generate/inputs.ts';
import { recordMetadata } from '../generate/outputs.ts';
import { interruptible } from '../interrupt.ts';
import { cameraMotion } from '../render/camera-motion.ts';
import { checkHands, drawHands, handCounts } from '../render/clips.ts';
import { readHands, readTrajectory } from '../render/files.ts';
import {
  blackOutside,
  framesAtRate,
  type Placement,
  place,
  placedIntrinsics,
  placementOf,
  type ResizePolicy,
  ticksFilled,
} from '../render/fixed-camera.ts';
import {
  addClipOptions,
  addHandOptions,
  type ClipFlags,
  checkName,
  ignoreDistortionOption,
} from '../render/options.ts';
import { sayIfOdd } from '../render/outputs.ts';
import { frameProgress } from '../render/progress.ts';
import { createReporter, type Reporter } from '../report.ts';
import { integer } from './options.ts';

interface Given extends ClipFlags {
  inputVideo?: string;
  hands: string;
  out?: string;
  dataRoot?: string;
  skipExisting?: true;
  name?: string;
  prompt?: string;
  promptFile?: string;
  startFrame: number;
  resize: ResizePolicy;
}

type Flags = Given & { readonly out: string };

/** Which frames the clip is made of, and where they go. */
interface Plan {
  /** Seconds after the first frame of the video. */
  readonly times: readonly number[];
  readonly source: { readonly width: number; readonly height: number };
  readonly placement: Placement;
}

export function addPrepare(program: Command): void {
  const command = program
    .command('prepare')
    .argument('[video]', 'the video; its camera must not move')
    .option('--input-video <file>', 'the same, as the original has it')
    .requiredOption('--hands <file>', 'the hands: a video of them on black, or a trajectory, .json')
    .option('--out <dir>', 'folder of samples; a line is added to its dataset.txt')
    .option(
      '--data-root <dir>',
      "the original's places below this folder: custom_inputs/, unless --out is given, and a list of the clip alone, dataset_files/custom_inputs/<name>.txt",
    )
    .option('--name <stem>', "name of the clip; else the video's")
    .option('--skip-existing', 'leave a clip alone that is there')
    .option('--overwrite', 'make it anew; so it is without --skip-existing')
    .option('--prompt <text>', 'what happens')
    .option('--prompt-file <file>', 'text file that holds the prompt')
    .option('--start-frame <n>', 'leave out what comes before this frame', integer(0), 0);
  command.option('--frames <n>', 'frames of the clip', integer(1), 49);
  addClipOptions(command).addOption(ignoreDistortionOption());
  addHandOptions(command)
    .addOption(
      new Option('--resize <how>', 'letterbox, cut, or what loses less of the picture')
        .choices(['auto', 'pad', 'crop'])
        .default('auto'),
    )
    .action(async (argument: string | undefined, given: Given) => {
      const reporter = createReporter(program.opts().json === true);
      const video = argument ?? given.inputVideo;
      if (video === undefined) throw new InvalidArgumentError('video', 'is required: the video to prepare');
      const out = given.out ?? (given.dataRoot && join(given.dataRoot, 'custom_inputs'));
      if (out === undefined) throw new InvalidArgumentError('out', 'is required; or pass --data-root');
      const flags: Flags = { ...given, out };
      const name = checkName(flags.name ?? basename(video, extname(video)));
      const list = flags.dataRoot === undefined ? undefined : ownList(flags.dataRoot, out, name);
      if (flags.skipExisting && (await exists(join(out, 'videos', `${name}.mp4`)))) {
        reporter.result({ video: join(out, 'videos', `${name}.mp4`) }, `${name} is there already`);
        return;
      }
      await interruptible((signal) =>
        withOutput(out, { name }, async () => {
          const { files, ...how } = await prepare(video, name, flags, reporter, signal);
          if (list) await writeFileAtomic(list.path, `${list.line}\n`);
          const paths = { ...files, ...(list && { list: list.path }) };
          reporter.result({ ...paths, ...how }, Object.values(paths).join('\n'));
        }),
      );
    });
}

/** The original's list of one clip. @throws InvalidArgumentError where the clip is not below the data root. */
function ownList(dataRoot: string, out: string, name: string): { path: string; line: string } {
  const below = relative(dataRoot, join(out, 'videos', `${name}.mp4`))
    .split(sep)
    .join('/');
  if (below.startsWith('..') || isAbsolute(below))
    throw new InvalidArgumentError('out', `expected a folder below --data-root ${dataRoot}, got ${out}`);
  return { path: join(dataRoot, 'dataset_files', 'custom_inputs', `${name}.txt`), line: below };
}

/** What was written, and how. */
interface Prepared {
  readonly files: Readonly<Record<string, string>>;
  readonly resize: Placement['mode'];
  readonly framesWithHands?: HandClip['counts'];
}

async function prepare(
  video: string,
  stem: string,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Prepared> {
  const { out, fps, frames } = flags;
  if (flags.prompt !== undefined && flags.promptFile !== undefined)
    throw new InvalidArgumentError('prompt', 'expected one kind of prompt, got --prompt and --prompt-file');
  const prompt = flags.promptFile ? await readNamedPrompt(flags.promptFile) : flags.prompt;
  sayIfOdd(flags, reporter);
  const info = await videoInfo(video);
  sayPixels(video, info, reporter);
  const timestamps = info.timestamps.slice(flags.startFrame);
  if (timestamps.length === 0)
    throw new InvalidArgumentError('start-frame', `${video} has ${info.frames} frames, expected less`);
  const picked = framesAtRate(timestamps, info.lastDuration, fps, frames).map(
    (index) => index + flags.startFrame,
  );
  const plan: Plan = {
    times: picked.map((index) => info.timestamps[index] - info.timestamps[0]),
    source: info,
    placement: placementOf(info, flags, flags.resize),
  };
  const filled = ticksFilled(timestamps, info.lastDuration, fps);
  if (filled < frames) {
    reporter.warn(
      `${video} fills ${filled} of ${frames} frames at ${fps} a second; its frame ${picked.at(-1)} is repeated for the rest (--frames ${filled} ends with it)`,
    );
  }

  await warnOfMotion(video, picked, info.timestamps, reporter);
  // Hands first: what can be wrong with them should not take a decoded video to be seen.
  const hands = /\.json$/i.test(flags.hands)
    ? await drawnHands(plan, flags, reporter, signal)
    : await filmedHands(plan, flags, reporter, signal);
  const clip = await readPlaced(
    video,
    picked,
    plan.placement,
    flags,
    frameProgress(reporter, 'video'),
    signal,
  );
  const still: Frames = { ...clip, data: repeated(frameAt(clip, 0).data, frames) };

  reporter.progress('writing the videos …');
  const paths = {
    video: join(out, 'videos', `${stem}.mp4`),
    static: join(out, 'videos_static', `${stem}.mp4`),
    hands: join(out, 'videos_hands', `${stem}.mp4`),
    contactSheet: join(out, `${stem}_contact_sheet.png`),
    dataset: join(out, 'dataset.txt'),
  };
  const caption = join(out, 'prompts_rewrite', `${stem}.txt`);
  const rows = [
    { label: 'video', frames: clip },
    { label: 'static', frames: still },
    { label: 'hands', frames: hands.clip },
  ];
  await writePng(paths.contactSheet, contactSheet(rows));
  await writeVideo(paths.static, still);
  await writeVideo(paths.hands, hands.clip);
  await writeVideo(paths.video, clip);
  if (prompt !== undefined) await writeFileAtomic(caption, `${prompt.trim()}\n`);
  else reporter.warn(`no caption: write what happens into ${caption}, or pass --prompt`);
  await addLine(paths.dataset, `videos/${stem}.mp4`);
  const { mode, loss } = plan.placement;
  await recordMetadata(join(out, 'metadata.json'), paths.video, {
    video,
    hands: flags.hands,
    startFrame: flags.startFrame,
    sourceFrames: picked,
    fps,
    frames,
    width: flags.width,
    height: flags.height,
    resize: mode,
    framesWithHands: hands.counts,
  });
  const lost = `${(loss * 100).toFixed(1)}%`;
  const how =
    mode === 'pad' ? `letterboxed, ${lost} of it black` : `centre crop, ${lost} of the video cut off`;
  reporter.progress(`${frames} frames of ${info.frames}, ${info.width}x${info.height} ${how}`, true);
  return { files: paths, resize: mode, framesWithHands: hands.counts };
}

function sayPixels(path: string, info: VideoInfo, reporter: Reporter): void {
  const remark = pixelRemark(path, info);
  if (remark) reporter.say(remark);
}

/** Hands that end early are none from there on. */
function sayIfHandsEnd(file: string, frame: number, { frames, fps }: Flags, reporter: Reporter): void {
  if (frame >= frames) return;
  reporter.warn(
    `${file} ends before frame ${frame} of ${frames} (after ${(frame / fps).toFixed(1)} s): the clip shows no hands from there on (--frames ${Math.max(1, frame)} ends with it)`,
  );
}

/** Frames of the clip that are held against its first one. */
const COMPARED = 6;

/** The first frame stands for the scene in all others, which a camera that moves makes wrong. */
async function warnOfMotion(
  video: string,
  picked: readonly number[],
  timestamps: readonly number[],
  reporter: Reporter,
): Promise<void> {
  const spread = Array.from({ length: COMPARED }, (_, i) =>
    Math.round((i * (picked.length - 1)) / (COMPARED - 1)),
  );
  const indices = [...new Set(spread.map((tick) => picked[tick]))];
  let first: RgbImage | undefined;
  for await (const frame of decodeFrames(video, { indices })) {
    const image = { data: await frame.rgb(), height: frame.height, width: frame.width };
    first ??= image;
    const motion = cameraMotion(first, image);
    if (!motion) continue;
    const seconds = (timestamps[frame.index] - timestamps[indices[0]]).toFixed(1);
    reporter.warn(
      `${video}: its camera seems to move: after ${seconds} s ${Math.round(100 * motion.share)}% of the picture is elsewhere, by ${Math.round(motion.shift * image.width)} pixels or more; the first frame stands for the scene, so take a video from a tripod, or a still stretch of this one (--start-frame, --frames)`,
    );
    return;
  }
}

interface HandClip {
  readonly clip: Frames;
  /** Frames that show each hand; not known of a ready video. */
  readonly counts?: Readonly<Record<'left' | 'right', number>>;
}

/**
 * Where hands go: with the video where they have its shape, over the whole clip where they have the clip's.
 * @throws InvalidFileError for another shape.
 */
function placementOfHands(
  { width, height }: { readonly width: number; readonly height: number },
  { source, placement }: Plan,
  flags: Flags,
): Placement {
  const isLike = (other: { readonly width: number; readonly height: number }) =>
    Math.abs((width * other.height) / (height * other.width) - 1) < 0.01;
  if (isLike(source)) return placement;
  if (isLike(flags)) return placementOf({ width, height }, flags, 'crop');
  throw new InvalidFileError(
    flags.hands,
    `is of ${width}x${height} pixels, expected the shape of the video (${source.width}x${source.height}) or of the clip (${flags.width}x${flags.height})`,
  );
}

/** Whether something of this rate is cut to the clip already, rather than running beside the whole video. */
const isReady = (rate: number, { fps }: Flags) => Math.abs(rate - fps) < 0.01 * fps;

async function drawnHands(
  plan: Plan,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const recorded = await readTrajectory(flags.hands, flags, reporter);
  const { width, height } = recorded.frames[0].intrinsics;
  const placement = placementOfHands({ width, height }, plan, flags);
  const first = recorded.frames[0].seconds;
  const ready = isReady(recorded.fps, flags);
  const wanted = plan.times.map((time, i) => first + (ready ? i / flags.fps : time));
  // Nobody knows where the hands are after the recording's end.
  const end = recorded.frames.at(-1)!.seconds + 1 / recorded.fps;
  const sampled = sampleAt(recorded, wanted, flags.fps);
  const trajectory: Trajectory = {
    fps: flags.fps,
    frames: sampled.frames.map((frame, i) => ({
      ...frame,
      hands: wanted[i] < end ? frame.hands : NO_HANDS,
      intrinsics: placedIntrinsics(frame.intrinsics, placement, flags),
    })),
  };
  checkHands(trajectory, flags);
  sayIfHandsEnd(flags.hands, wanted.filter((time) => time < end).length, flags, reporter);
  const counts = handCounts(trajectory);
  if (counts.left + counts.right === 0)
    reporter.warn(
      `${flags.hands} has no hands in the clip: the hand video is black, and a model is shown no action`,
    );
  const hands = await readHands(flags, reporter);
  const device = await openNodeDevice();
  try {
    const clip = await drawHands(device, { hands, trajectory }, reporter, { signal });
    for (let i = 0; i < clip.frames; i++) blackOutside(frameAt(clip, i), placement);
    return { clip, counts };
  } finally {
    device.destroy();
  }
}

/** A ready hand video: frame by frame at the clip's rate and of any size, or one that runs beside the video. */
async function filmedHands(
  plan: Plan,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const info = await videoInfo(flags.hands);
  sayPixels(flags.hands, info, reporter);
  const { timestamps } = info;
  const end = timestamps.at(-1)! - timestamps[0] + info.lastDuration;
  const wanted = isReady(info.fps, flags) ? plan.times.map((_, i) => i / flags.fps) : plan.times;
  let index = 0;
  const indices = wanted
    .filter((time) => time < end)
    .map((time) => {
      const distance = (i: number) => Math.abs(timestamps[i] - timestamps[0] - time);
      while (index + 1 < timestamps.length && distance(index + 1) < distance(index)) index++;
      return index;
    });
  sayIfHandsEnd(flags.hands, indices.length, flags, reporter);
  const placement = placementOfHands(info, plan, flags);
  const report = frameProgress(reporter, 'hands');
  const clip = await readPlaced(flags.hands, indices, placement, flags, report, signal);
  return { clip };
}

/** Frames of a video at their place; black ones behind the last. */
async function readPlaced(
  path: string,
  indices: readonly number[],
  placement: Placement,
  { frames, width, height, fps }: Flags,
  onFrame: (done: number, frames: number) => void,
  signal: AbortSignal,
): Promise<Frames> {
  const clip: Frames = { data: new Uint8Array(frames * height * width * 3), frames, height, width, fps };
  let done = 0;
  let rgb: Uint8Array | undefined;
  for await (const frame of decodeFrames(path, { indices })) {
    signal.throwIfAborted();
    rgb = await frame.rgb(rgb);
    place({ data: rgb, height: frame.height, width: frame.width }, placement, frameAt(clip, done));
    onFrame(++done, indices.length);
  }
  return clip;
}

function repeated(frame: Uint8Array, times: number): Uint8Array {
  const data = new Uint8Array(frame.length * times);
  for (let i = 0; i < times; i++) data.set(frame, i * frame.length);
  return data;
}

/** Adds a line to a list, unless it is there. */
async function addLine(path: string, line: string): Promise<void> {
  // Other clips may be on their way into the folder.
  await whileLocked(path, async () => {
    const before = await readFile(path, 'utf8').catch((error) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const lines = before.split(/\r?\n/).filter((text) => text !== '');
    if (!lines.includes(line)) await writeFileAtomic(path, `${[...lines, line].join('\n')}\n`);
  });
}
