/** `dwm prepare`: a video of hands as a sample that `generate` takes. */
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import {
  openNodeDevice,
  readRegularText,
  whileLocked,
  withOutput,
  writeFileAtomic,
} from '@dwm/core-tensor/node';
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
import { type HandModels, NO_HANDS, SIDES, sampleAt, type Trajectory, writeTransforms } from '@dwm/renderer';
import { type Command, Option } from 'commander';
import { exists } from '../generate/files.ts';
import { readNamedPrompt } from '../generate/inputs.ts';
import { recordMetadata } from '../generate/outputs.ts';
import { interruptible } from '../interrupt.ts';
import { findHands, handReport, type Shown } from '../prepare/found-hands.ts';
import { type ClipSource, clipSource, type SourceFlags } from '../prepare/source.ts';
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
import { integer, real } from './options.ts';

interface Given extends ClipFlags, SourceFlags {
  inputVideo?: string;
  hands?: string;
  static?: string;
  focal?: number;
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

/** Folder of samples where none is named. */
const DEFAULT_OUT = 'samples';

export function addPrepare(program: Command): void {
  const command = program
    .command('prepare')
    .argument('[video]', 'the video; its camera must not move, unless --static is given')
    .option('--input-video <file>', 'the same, as the original has it')
    .option(
      '--hands <file>',
      'the hands: a video of them on black, or a trajectory, .json; else they are found in the video',
    )
    .option(
      '--static <file>',
      'a video of the scene alone along the same camera path; else the one in ../videos_static, else the first frame',
    )
    .option(
      '--from <files...>',
      'a recording of the hands (what dwm trajectory import takes), with the video beside it; or the folder of a LeRobot data set',
    )
    .option('--episode <n>', 'of a LeRobot data set; 0 by default', integer(0))
    .option('--camera <feature>', 'of a LeRobot data set with several, e.g. observation.images.top')
    .option('--focal <pixels>', "of the video's camera, to find hands; else 60 degrees across", real(1))
    .option('--out <dir>', `folder of samples; a line is added to its dataset.txt (default: ${DEFAULT_OUT})`)
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
      const source = await clipSource(argument ?? given.inputVideo, given, reporter);
      const out = given.out ?? (given.dataRoot ? join(given.dataRoot, 'custom_inputs') : DEFAULT_OUT);
      const flags: Flags = { ...given, out };
      const name = checkName(flags.name ?? source.name);
      const list = flags.dataRoot === undefined ? undefined : ownList(flags.dataRoot, out, name);
      if (flags.skipExisting && (await exists(join(out, 'videos', `${name}.mp4`)))) {
        reporter.result({ video: join(out, 'videos', `${name}.mp4`) }, `${name} is there already`);
        return;
      }
      await interruptible((signal) =>
        withOutput(out, { name }, async () => {
          const { files, ...how } = await prepare(source, name, flags, reporter, signal);
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
  { video, part, caption: known, recorded }: ClipSource,
  stem: string,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Prepared> {
  const { out, fps, frames } = flags;
  if (flags.prompt !== undefined && flags.promptFile !== undefined)
    throw new InvalidArgumentError('prompt', 'expected one kind of prompt, got --prompt and --prompt-file');
  if (recorded && flags.hands !== undefined)
    throw new InvalidArgumentError('hands', `is one too many: ${recorded.file} has the hands`);
  if (recorded && flags.focal !== undefined)
    throw new InvalidArgumentError(
      'focal',
      `is of the camera that finds hands, and ${recorded.file} has the hands`,
    );
  const prompt = flags.promptFile ? await readNamedPrompt(flags.promptFile) : (flags.prompt ?? known);
  sayIfOdd(flags, reporter);
  const info = await videoInfo(video);
  sayPixels(video, info, reporter);
  const [begin, end] = framesOfPart(video, info, part);
  const timestamps = info.timestamps.slice(begin + flags.startFrame, end);
  if (timestamps.length === 0)
    throw new InvalidArgumentError('start-frame', `${video} has ${end - begin} frames, expected less`);
  const lastDuration = end < info.frames ? info.timestamps[end] - timestamps.at(-1)! : info.lastDuration;
  const picked = framesAtRate(timestamps, lastDuration, fps, frames).map(
    (index) => index + begin + flags.startFrame,
  );
  const plan: Plan = {
    times: picked.map((index) => info.timestamps[index] - info.timestamps[begin]),
    source: info,
    placement: placementOf(info, flags, flags.resize),
  };
  const filled = ticksFilled(timestamps, lastDuration, fps);
  if (filled < frames) {
    reporter.warn(
      `${video} fills ${filled} of ${frames} frames at ${fps} a second; its frame ${picked.at(-1)} is repeated for the rest (--frames ${filled} ends with it)`,
    );
  }

  const scene = flags.static ?? (await sceneBeside(video));
  const hasHands = recorded !== undefined || flags.hands !== undefined;
  if (scene === undefined) await checkStands(video, picked, info.timestamps, hasHands, reporter);
  else if (flags.static === undefined) reporter.say(`static scene: ${scene}`);
  const readScene = scene === undefined ? undefined : await sceneReader(scene, plan, flags, reporter, signal);
  // Hands first: what can be wrong with them should not take a decoded video to be seen.
  const hands = recorded
    ? await drawnHands(recorded, plan, flags, reporter, signal)
    : await handsOf(video, picked, plan, flags, reporter, signal);
  const clip = await readPlaced(
    video,
    picked,
    plan.placement,
    flags,
    frameProgress(reporter, 'video'),
    signal,
  );
  const still = (await readScene?.()) ?? { ...clip, data: repeated(frameAt(clip, 0).data, frames) };

  reporter.progress('writing the videos …');
  const paths = {
    video: join(out, 'videos', `${stem}.mp4`),
    static: join(out, 'videos_static', `${stem}.mp4`),
    hands: join(out, 'videos_hands', `${stem}.mp4`),
    contactSheet: join(out, `${stem}_contact_sheet.png`),
    dataset: join(out, 'dataset.txt'),
    ...(hands.found && {
      trajectory: join(out, `${stem}_trajectory.json`),
      report: join(out, `${stem}_hands.json`),
    }),
  };
  const caption = join(out, 'prompts_rewrite', `${stem}.txt`);
  const rows = [
    { label: 'video', frames: clip },
    { label: 'static', frames: still },
    { label: 'hands', frames: hands.clip },
    { label: 'hands over the video', frames: over(clip, hands.clip) },
  ];
  await writePng(paths.contactSheet, contactSheet(rows));
  await writeVideo(paths.static, still);
  await writeVideo(paths.hands, hands.clip);
  await writeVideo(paths.video, clip);
  if (paths.trajectory) await writeFileAtomic(paths.trajectory, writeTransforms(hands.found!.trajectory));
  if (paths.report) await writeFileAtomic(paths.report, `${JSON.stringify(hands.found!.report, null, 2)}\n`);
  if (prompt !== undefined) await writeFileAtomic(caption, `${prompt.trim()}\n`);
  else reporter.warn(`no caption: write what happens into ${caption}, or pass --prompt`);
  await addLine(paths.dataset, `videos/${stem}.mp4`);
  const { mode, loss } = plan.placement;
  await recordMetadata(join(out, 'metadata.json'), paths.video, {
    video,
    hands: recorded?.file ?? flags.hands ?? 'found in the video',
    static: scene ?? 'the first frame',
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
  reporter.progress(`${frames} frames of ${end - begin}, ${info.width}x${info.height} ${how}`, true);
  return { files: paths, resize: mode, framesWithHands: hands.counts };
}

/** The frames of a part of the video: the first, and the first after it. @throws InvalidFileError where none is. */
function framesOfPart(
  video: string,
  { timestamps, fps }: VideoInfo,
  part: ClipSource['part'],
): [begin: number, end: number] {
  if (!part) return [0, timestamps.length];
  const at = (seconds: number) =>
    timestamps.filter((time) => time - timestamps[0] < seconds - 0.5 / fps).length;
  const [begin, end] = [at(part.from), part.to === undefined ? timestamps.length : at(part.to)];
  if (end > begin) return [begin, end];
  throw new InvalidFileError(
    video,
    `has no frame from ${part.from} to ${part.to} s, where the data set says that the episode is; fetch it again`,
  );
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

/**
 * The first frame stands for the scene in all others, which a camera that moves makes wrong.
 * @throws InvalidFileError where nobody has seen to the hands either, who might know better.
 */
async function checkStands(
  video: string,
  picked: readonly number[],
  timestamps: readonly number[],
  hasHands: boolean,
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
    const seen = `after ${seconds} s ${Math.round(100 * motion.share)}% of the picture is elsewhere, by ${Math.round(motion.shift * image.width)} pixels or more`;
    const instead = 'take a video from a tripod, or a still stretch of this one (--start-frame, --frames)';
    if (!hasHands)
      throw new InvalidFileError(
        video,
        `its camera moves: ${seen}; pass a video of the scene alone along the same path (--static) or the hands (--hands), or ${instead}`,
      );
    reporter.warn(
      `${video}: its camera seems to move: ${seen}; the first frame stands for the scene, so ${instead}`,
    );
    return;
  }
}

/** The scene's video where the video lies in a folder of samples. */
async function sceneBeside(video: string): Promise<string | undefined> {
  if (basename(dirname(video)) !== 'videos') return undefined;
  const path = join(dirname(dirname(video)), 'videos_static', basename(video));
  return (await exists(path)) ? path : undefined;
}

interface HandClip {
  readonly clip: Frames;
  /** Frames that show each hand; not known of a ready video. */
  readonly counts?: Readonly<Record<'left' | 'right', number>>;
  /** Of hands that were found in the video. */
  readonly found?: { readonly trajectory: Trajectory; readonly report: ReturnType<typeof handReport> };
}

async function handsOf(
  video: string,
  picked: readonly number[],
  plan: Plan,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const { hands, focal } = flags;
  if (hands === undefined) {
    const { width, height } = plan.source;
    const shown = { video, size: { width, height }, picked, fps: flags.fps, focal };
    return foundHands(shown, plan, flags, reporter, signal);
  }
  if (focal !== undefined)
    throw new InvalidArgumentError('focal', 'is of the camera that finds hands; leave it out with --hands');
  return /\.json$/i.test(hands)
    ? drawnHands(
        { file: hands, trajectory: await readTrajectory(hands, flags, reporter) },
        plan,
        flags,
        reporter,
        signal,
      )
    : filmedHands(hands, plan, flags, reporter, signal);
}

async function foundHands(
  shown: Shown,
  { placement }: Plan,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const models = await readHands(flags, reporter);
  const found = await findHands(shown, models.rigs, reporter, signal);
  const report = handReport(found, shown);
  for (const side of SIDES) {
    const { framesWithHand, confidence, reprojectionErrorPixels } = report[side];
    const shows = found.found.hands.map((hands) => hands[side] !== null);
    if (framesWithHand > 0)
      reporter.say(
        `${side} hand in ${framesWithHand} of ${shown.picked.length} frames, ${shows.indexOf(true)} to ${shows.lastIndexOf(true)} counted from 0, confidence ${confidence!.toFixed(2)}, ${reprojectionErrorPixels!.toFixed(1)} pixels off`,
      );
  }
  const trajectory: Trajectory = {
    ...found.trajectory,
    frames: found.trajectory.frames.map((frame) => ({
      ...frame,
      intrinsics: placedIntrinsics(frame.intrinsics, placement, flags),
    })),
  };
  const clip = await drawPlaced({ hands: models, trajectory }, placement, reporter, signal);
  return { clip, counts: handCounts(trajectory), found: { trajectory, report } };
}

async function drawPlaced(
  files: { readonly hands: HandModels; readonly trajectory: Trajectory },
  placement: Placement,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Frames> {
  const device = await openNodeDevice();
  try {
    const clip = await drawHands(device, files, reporter, { signal });
    for (let i = 0; i < clip.frames; i++) blackOutside(frameAt(clip, i), placement);
    return clip;
  } finally {
    device.destroy();
  }
}

/**
 * Where hands go: with the video where they have its shape, over the whole clip where they have the clip's.
 * @throws InvalidFileError for another shape.
 */
function placementOfHands(
  file: string,
  { width, height }: { readonly width: number; readonly height: number },
  { source, placement }: Plan,
  flags: Flags,
): Placement {
  const isLike = (other: { readonly width: number; readonly height: number }) =>
    Math.abs((width * other.height) / (height * other.width) - 1) < 0.01;
  if (isLike(source)) return placement;
  if (isLike(flags)) return placementOf({ width, height }, flags, 'crop');
  throw new InvalidFileError(
    file,
    `is of ${width}x${height} pixels, expected the shape of the video (${source.width}x${source.height}) or of the clip (${flags.width}x${flags.height})`,
  );
}

/** Whether something of this rate is cut to the clip already, rather than running beside the whole video. */
const isReady = (rate: number, { fps }: Flags) => Math.abs(rate - fps) < 0.01 * fps;

async function drawnHands(
  { file, trajectory: recorded }: NonNullable<ClipSource['recorded']>,
  plan: Plan,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const { width, height } = recorded.frames[0].intrinsics;
  const placement = placementOfHands(file, { width, height }, plan, flags);
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
  sayIfHandsEnd(file, wanted.filter((time) => time < end).length, flags, reporter);
  const counts = handCounts(trajectory);
  if (counts.left + counts.right === 0)
    reporter.warn(
      `${file} has no hands in the clip: the hand video is black, and a model is shown no action`,
    );
  const hands = await readHands(flags, reporter);
  return { clip: await drawPlaced({ hands, trajectory }, placement, reporter, signal), counts };
}

/** Frames of a video that is cut to the clip, or runs beside the whole video; fewer where it ends before. */
function framesBeside({ timestamps, lastDuration, fps }: VideoInfo, plan: Plan, flags: Flags): number[] {
  const end = timestamps.at(-1)! - timestamps[0] + lastDuration;
  const wanted = isReady(fps, flags) ? plan.times.map((_, i) => i / flags.fps) : plan.times;
  let index = 0;
  return wanted
    .filter((time) => time < end)
    .map((time) => {
      const distance = (i: number) => Math.abs(timestamps[i] - timestamps[0] - time);
      while (index + 1 < timestamps.length && distance(index + 1) < distance(index)) index++;
      return index;
    });
}

/**
 * What reads the scene alone, along the video's camera path.
 * @throws InvalidFileError for one that ends early, or has another shape.
 */
async function sceneReader(
  file: string,
  plan: Plan,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<() => Promise<Frames>> {
  const info = await videoInfo(file);
  sayPixels(file, info, reporter);
  const indices = framesBeside(info, plan, flags);
  if (indices.length < flags.frames)
    throw new InvalidFileError(
      file,
      `ends before frame ${indices.length} of ${flags.frames}; pass --frames ${indices.length}, or a longer --static`,
    );
  const placement = placementOfHands(file, info, plan, flags);
  return () => readPlaced(file, indices, placement, flags, frameProgress(reporter, 'static'), signal);
}

/** A ready hand video: frame by frame at the clip's rate and of any size, or one that runs beside the video. */
async function filmedHands(
  file: string,
  plan: Plan,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const info = await videoInfo(file);
  sayPixels(file, info, reporter);
  const indices = framesBeside(info, plan, flags);
  sayIfHandsEnd(file, indices.length, flags, reporter);
  const placement = placementOfHands(file, info, plan, flags);
  const report = frameProgress(reporter, 'hands');
  const clip = await readPlaced(file, indices, placement, flags, report, signal);
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

/** Hands as they lie over the video. */
function over(video: Frames, hands: Frames): Frames {
  const data = video.data.slice();
  for (let i = 0; i < data.length; i += 3)
    if (hands.data[i] + hands.data[i + 1] + hands.data[i + 2] > 60)
      for (let c = i; c < i + 3; c++) data[c] = (data[c] + 2 * hands.data[c]) / 3;
  return { ...video, data };
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
    const before = await readRegularText(path).catch((error) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const lines = before.split(/\r?\n/).filter((text) => text !== '');
    if (!lines.includes(line)) await writeFileAtomic(path, `${[...lines, line].join('\n')}\n`);
  });
}
