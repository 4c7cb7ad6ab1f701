/**
 * From scene and trajectory files to the two conditioning clips, for `render`, `generate` and `prepare`. Files are
 * read and checked before a device is opened.
 */
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import {
  type CameraFit,
  clipTrajectory,
  type HandModels,
  PosedHands,
  type RenderedClip,
  renderHandClip,
  renderSceneClip,
  type SceneParts,
  type SceneRenderOptions,
  SIDES,
  StaticScene,
  type Trajectory,
} from '@dwm/renderer';
import { decodeImage } from '@dwm/renderer/node';
import type { Reporter } from '../report.ts';
import { readHands, readScene, readTrajectory } from './files.ts';
import type { ClipFlags, HandFlags } from './options.ts';
import { frameProgress } from './progress.ts';

/** What a clip is drawn from, in memory. */
export interface ClipFiles {
  readonly scene: SceneParts;
  readonly hands: HandModels;
  /** At the clip's rate, length and size. */
  readonly trajectory: Trajectory;
}

export async function readClipFiles(
  flags: ClipFlags & { scene: string[]; trajectory: string; fit?: CameraFit },
  reporter: Reporter,
): Promise<ClipFiles> {
  const recorded = await readTrajectory(flags.trajectory, flags, reporter);
  const trajectory = clipTrajectory(recorded, flags);
  sayIfFitted(recorded, trajectory, reporter);
  const hands = await readHands(flags, reporter);
  checkHands(trajectory, flags);
  return { scene: await readScene(flags.scene, reporter), hands, trajectory };
}

const across = ({ fx, width, cx }: Trajectory['frames'][number]['intrinsics']) =>
  (((Math.atan(cx / fx) + Math.atan((width - cx) / fx)) * 180) / Math.PI).toFixed(1);

/** A camera of another shape sees more or less than it did; nobody should find out from the result. */
function sayIfFitted(recorded: Trajectory, clip: Trajectory, reporter: Reporter): void {
  const [from, to] = [recorded.frames[0].intrinsics, clip.frames[0].intrinsics];
  if (from.width * to.height === from.height * to.width) return;
  const how = to.fx === from.fx ? 'cropped' : 'scaled and cropped';
  reporter.say(
    `the camera's ${from.width}x${from.height} pixels, ${across(from)} degrees across, are ${how} to ${to.width}x${to.height}, ${across(to)} degrees (--fit)`,
  );
}

/** @throws InvalidArgumentError for hands that cannot be drawn without a MANO file. */
export function checkHands({ frames }: Trajectory, { mano }: HandFlags): void {
  if (mano) return;
  const bare = frames.findIndex(({ hands }) =>
    SIDES.some((side) => hands[side]?.mano && !hands[side].joints),
  );
  if (bare >= 0) {
    throw new InvalidArgumentError(
      'mano',
      `is required: frame ${bare} has a hand by MANO parameters only; or import the recording again with --mano`,
    );
  }
}

export async function drawScene(
  device: Device,
  { scene, trajectory }: ClipFiles,
  reporter: Reporter,
  options: Omit<SceneRenderOptions, 'onFrame'>,
): Promise<RenderedClip> {
  reporter.progress('copying the scene to the device …');
  const held = await StaticScene.load(device, scene, { decodeImage });
  try {
    const onFrame = frameProgress(reporter, 'static scene');
    return await renderSceneClip(held, trajectory, { ...options, onFrame });
  } finally {
    held.destroy();
  }
}

export async function drawHands(
  device: Device,
  { hands, trajectory }: Pick<ClipFiles, 'hands' | 'trajectory'>,
  reporter: Reporter,
  options: Pick<SceneRenderOptions, 'samples' | 'signal'>,
): Promise<RenderedClip> {
  const posed = new PosedHands(device, hands);
  try {
    return await renderHandClip(device, posed, trajectory, {
      ...options,
      onFrame: frameProgress(reporter, 'hands'),
    });
  } finally {
    posed.destroy();
  }
}

/** Both clips, in memory, as `dwm render` writes them. */
export async function drawVideos(
  device: Device,
  files: ClipFiles,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<{ staticVideo: RenderedClip; handVideo: RenderedClip }> {
  const staticVideo = await drawScene(device, files, reporter, { signal });
  return { staticVideo, handVideo: await drawHands(device, files, reporter, { signal }) };
}

/** Frames that show each hand. */
export function handCounts({ frames }: Trajectory): Record<'left' | 'right', number> {
  const count = (side: 'left' | 'right') => frames.filter(({ hands }) => hands[side]).length;
  return { left: count('left'), right: count('right') };
}
