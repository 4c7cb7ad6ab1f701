/** The hands that a video shows, found by the tracker, and ours fitted to them: a trajectory, and how sure it is. */
import { type Device, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { fitVideo, HandTracker, type VideoHands, VideoTracker } from '@dwm/hands';
import { readHandWeights } from '@dwm/hands/node';
import { decodeFrames } from '@dwm/media/node';
import {
  cameraToWorld,
  fromFieldOfView,
  type HandModels,
  type HandSide,
  type Intrinsics,
  RiggedHand,
  SIDES,
  type Trajectory,
} from '@dwm/renderer';
import { frameProgress } from '../render/progress.ts';
import type { Reporter } from '../report.ts';

/** Without a focal length: a common phone or webcam, 60 degrees across. */
const DEFAULT_FIELD_OF_VIEW = Math.PI / 3;

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

/** What is looked at. */
interface Shown {
  readonly video: string;
  readonly size: { readonly width: number; readonly height: number };
  /** Frames of the video that the clip is made of, at `fps`. */
  readonly picked: readonly number[];
  readonly fps: number;
  /** Of the video's camera, in pixels. */
  readonly focal?: number;
}

interface FoundHands {
  /** Before a camera at the origin that has the video's size; one frame for each that was picked. */
  readonly trajectory: Trajectory;
  readonly found: VideoHands;
}

/** @throws InvalidFileError where no hand is in any frame. */
export async function findHands(
  shown: Shown,
  rigs: HandModels['rigs'],
  reporter: Reporter,
  signal: AbortSignal,
): Promise<FoundHands> {
  const weights = await readHandWeights();
  const camera = cameraOf(shown);
  // What the clip shows again is looked at once.
  const pictures = [...new Set(shown.picked)];
  const device = await openNodeDevice();
  try {
    const rest = restJoints(device, rigs);
    reporter.progress('loading the hand tracker …');
    const tracker = await HandTracker.create(device, weights);
    const seen = new VideoTracker(tracker);
    let crowded = false;
    try {
      const onFrame = frameProgress(reporter, 'looking for hands');
      for await (const frame of decodeFrames(shown.video, { indices: pictures })) {
        signal.throwIfAborted();
        const { width, height } = frame;
        await seen.add({ data: await frame.rgb(), width, height });
        crowded ||= tracker.others;
        onFrame(seen.hands.length, pictures.length);
      }
    } finally {
      tracker.destroy();
    }
    if (crowded)
      reporter.warn(
        `${shown.video} shows more than two hands, and two are followed: take a video of one person, or pass the hands (--hands)`,
      );
    const found = atFrames(fitVideo(seen.hands, camera, rest), pictures, shown.picked);
    if (!found.hands.some((hands) => SIDES.some((side) => hands[side])))
      throw new InvalidFileError(
        shown.video,
        'shows no hand that the tracker finds in these frames; pass the hands (--hands), or another stretch (--start-frame, --frames)',
      );
    const pose = cameraToWorld('opengl', IDENTITY);
    const frames = found.hands.map((hands, i) => ({
      ...{ seconds: i / shown.fps, intrinsics: camera, camera: pose, hands },
    }));
    return { trajectory: { fps: shown.fps, frames }, found };
  } finally {
    device.destroy();
  }
}

/** The hands of the clip's frames, from those of the pictures that they show. */
function atFrames(found: VideoHands, pictures: readonly number[], frames: readonly number[]): VideoHands {
  const of = <T>(values: readonly T[]) => frames.map((frame) => values[pictures.indexOf(frame)]);
  return { ...found, hands: of(found.hands), records: of(found.records) };
}

function cameraOf({ size: { width, height }, focal }: Shown): Intrinsics {
  const { fx } = fromFieldOfView(Math.max(width, height), 1, DEFAULT_FIELD_OF_VIEW);
  const f = focal ?? fx;
  if (f > 100 * Math.max(width, height))
    throw new InvalidArgumentError('focal', `${f} pixels are no focal length of a picture ${width} wide`);
  return { fx: f, fy: f, cx: width / 2, cy: height / 2, width, height };
}

function restJoints(device: Device, rigs: HandModels['rigs']): Record<HandSide, Float64Array> {
  const [left, right] = SIDES.map((side) => {
    const hand = new RiggedHand(device, rigs[side]);
    const rest = hand.restJoints();
    hand.destroy();
    return rest;
  });
  return { left, right };
}

/** What `<name>_hands.json` says. */
export function handReport({ trajectory, found }: FoundHands, { video, picked, fps }: Shown) {
  const side = (which: HandSide) => {
    const seen = found.records.flatMap((record) => record[which] ?? []);
    return {
      framesWithHand: found.hands.filter((hands) => hands[which]).length,
      framesSeen: seen.length,
      confidence: seen.length > 0 ? round(mean(seen.map(({ presence }) => presence))) : null,
      reprojectionErrorPixels:
        seen.length > 0 ? round(median(seen.map(({ reprojectionError }) => reprojectionError))) : null,
      size: round(found.sizes[which]),
    };
  };
  return {
    video,
    fps,
    frames: picked.length,
    focalPixels: round(trajectory.frames[0].intrinsics.fx),
    left: side('left'),
    right: side('right'),
    perFrame: picked.map((sourceFrame, i) => {
      const of = (which: HandSide) => {
        const record = found.records[i][which];
        // Between two frames that show it a hand is carried on, for three frames at most.
        if (!record) return found.hands[i][which] ? 'bridged' : null;
        const { presence, sideCertainty, reprojectionError } = record;
        return {
          confidence: round(presence),
          sideCertainty: round(sideCertainty),
          reprojectionErrorPixels: round(reprojectionError),
        };
      };
      return { sourceFrame, left: of('left'), right: of('right') };
    }),
  };
}

const round = (value: number) => Math.round(value * 1000) / 1000;
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];
