/** The hand video of a sample: found in the video, drawn from a trajectory, or filmed. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { type Frames, frameAt, videoInfo } from '@dwm/media/node';
import { type HandModels, NO_HANDS, SIDES, sampleAt, type Trajectory } from '@dwm/renderer';
import { sayPixels } from '../generate/clip-inputs.ts';
import { checkHands, drawHands, handCounts } from '../render/clips.ts';
import { readHands, readTrajectory } from '../render/files.ts';
import { blackOutside, type Placement, placedIntrinsics } from '../render/fixed-camera.ts';
import { frameProgress } from '../render/progress.ts';
import type { Reporter } from '../report.ts';
import type { Flags } from './flags.ts';
import { findHands, handReport } from './found-hands.ts';
import { framesBeside, isReady, type PickedFrames, placementBeside } from './picked-frames.ts';
import { readPlaced } from './read-placed.ts';
import type { ClipSource } from './source.ts';

export interface HandClip {
  readonly clip: Frames;
  /** Frames that show each hand; not known of a ready video. */
  readonly counts?: Readonly<Record<'left' | 'right', number>>;
  /** Of hands that were found in the video. */
  readonly found?: { readonly trajectory: Trajectory; readonly report: ReturnType<typeof handReport> };
}

/** @param recorded hands that the source knows. */
export async function handsOf(
  recorded: ClipSource['recorded'],
  chosen: PickedFrames,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const { hands, focal } = flags;
  if (recorded) return drawnHands(recorded, chosen, flags, reporter, signal);
  if (hands === undefined) return foundHands(chosen, flags, reporter, signal);
  if (focal !== undefined)
    throw new InvalidArgumentError('focal', 'is of the camera that finds hands; leave it out with --hands');
  if (!/\.json$/i.test(hands)) return filmedHands(hands, chosen, flags, reporter, signal);
  const trajectory = await readTrajectory(hands, flags, reporter);
  return drawnHands({ file: hands, trajectory }, chosen, flags, reporter, signal);
}

async function foundHands(
  { video, source: { width, height }, picked, placement }: PickedFrames,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const { fps, focal } = flags;
  const shown = { video, size: { width, height }, picked, fps, focal };
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

async function drawnHands(
  { file, trajectory: recorded }: NonNullable<ClipSource['recorded']>,
  chosen: PickedFrames,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const { width, height } = recorded.frames[0].intrinsics;
  const placement = placementBeside(file, { width, height }, chosen, flags);
  const first = recorded.frames[0].seconds;
  const ready = isReady(recorded.fps, flags);
  const wanted = chosen.times.map((time, i) => first + (ready ? i / flags.fps : time));
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

/** A ready hand video: frame by frame at the clip's rate and of any size, or one that runs beside the video. */
async function filmedHands(
  file: string,
  chosen: PickedFrames,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<HandClip> {
  const info = await videoInfo(file);
  sayPixels(file, info, reporter);
  const indices = framesBeside(info, chosen, flags);
  sayIfHandsEnd(file, indices.length, flags, reporter);
  const placement = placementBeside(file, info, chosen, flags);
  const report = frameProgress(reporter, 'hands');
  const clip = await readPlaced(file, indices, placement, flags, report, signal);
  return { clip };
}

/** Hands that end early are none from there on. */
function sayIfHandsEnd(file: string, frame: number, { frames, fps }: Flags, reporter: Reporter): void {
  if (frame >= frames) return;
  reporter.warn(
    `${file} ends before frame ${frame} of ${frames} (after ${(frame / fps).toFixed(1)} s): the clip shows no hands from there on (--frames ${Math.max(1, frame)} ends with it)`,
  );
}
