/**
 * From scene and trajectory files to the two conditioning clips, for `render`, `generate` and `prepare`. Files are
 * read and checked before a device is opened.
 */
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import {
  clipTrajectory,
  framesBetween,
  guessPlacement,
  type HandModels,
  type Intrinsics,
  insideSolid,
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
import type { DrawFlags, HandFlags, SceneFlags } from './options.ts';
import { frameProgress } from './progress.ts';

/** What a clip is drawn from, in memory. */
export interface ClipFiles {
  readonly scene: SceneParts;
  readonly hands: HandModels;
  /** At the clip's rate, length and size. */
  readonly trajectory: Trajectory;
}

/** What a clip is to be. */
export interface ClipRequest extends DrawFlags {
  scene: readonly string[];
  trajectory: string;
  /** As many as a short trajectory has, and at most 49, if left out. */
  frames?: number;
  fps: number;
  width: number;
  height: number;
}

/** The command's flag for the number of frames; of models that take 4k + 1 frames only, `step` is 4. */
interface FramesFlag {
  readonly name: string;
  readonly step: number;
}

/** A clip's length where nobody says otherwise: the original's. */
const FRAMES = 49;

/** The trajectory's file; said at once where nobody's hands are in it, since a model is shown nothing then. */
async function readRecorded(
  { trajectory, ignoreDistortion }: ClipRequest,
  reporter: Reporter,
): Promise<Trajectory> {
  const recorded = await readTrajectory(trajectory, { ignoreDistortion }, reporter);
  const { left, right } = handCounts(recorded);
  if (left + right === 0)
    reporter.warn(
      `${trajectory} has no hands: the hand video is black, and a model is shown no action (dwm trajectory import takes recordings of hands)`,
    );
  return recorded;
}

/** @param known the scene, where it was read, and spoken of, for another trajectory. */
export async function readClipFiles(
  flags: ClipRequest,
  reporter: Reporter,
  framesFlag: FramesFlag = { name: '--num-frames', step: 4 },
  known?: SceneParts,
): Promise<ClipFiles> {
  const whole = await readRecorded(flags, reporter);
  const frames = clipFrames(whole, flags, framesFlag, reporter);
  const trajectory = clipTrajectory(whole, { ...flags, frames });
  sayIfFitted(whole, trajectory, reporter);
  warnOfLateHands(whole, trajectory, flags.trajectory, reporter);
  const hands = await readHands(flags, reporter);
  checkHands(trajectory, flags);
  if (known) return { scene: known, hands, trajectory };
  const scene = await readScene(flags.scene, flags, reporter);
  sayWhatSeemsWrong(scene, trajectory, flags, reporter);
  return { scene, hands, trajectory };
}

/** @throws InvalidArgumentError, with the flag, where the trajectory is shorter than what was asked for. */
function clipFrames(
  { frames: all }: Trajectory,
  { frames, fps, trajectory }: ClipRequest,
  { name, step }: FramesFlag,
  reporter: Reporter,
): number {
  const there = framesBetween(all[0].seconds, all.at(-1)!.seconds, fps);
  const wanted = frames ?? FRAMES;
  if (wanted <= there) return wanted;
  const most = step * Math.floor((there - 1) / step) + 1;
  if (frames === undefined) {
    reporter.say(`${trajectory} lasts for ${there} frames at ${fps} a second; so do the clips (${name})`);
    return there;
  }
  throw new InvalidArgumentError(
    name.replace(/^--/, ''),
    `${wanted} frames at ${fps} a second last ${((wanted - 1) / fps).toFixed(2)} s, and ${trajectory} only ${((there - 1) / fps).toFixed(2)} s: pass ${name} ${most}, or a higher --fps`,
  );
}

/** Hands that come after the clip's end are not in it. */
function warnOfLateHands(whole: Trajectory, clip: Trajectory, path: string, reporter: Reporter): void {
  const counts = handCounts(clip);
  const late = whole.frames.find(({ hands }) => SIDES.some((side) => hands[side]));
  if (counts.left + counts.right > 0 || !late) return;
  const seconds = late.seconds - whole.frames[0].seconds;
  reporter.warn(
    `${path} has no hands in the clip's ${clip.frames.length} frames; the first is at ${seconds.toFixed(1)} s, where the clip ends at ${((clip.frames.length - 1) / clip.fps).toFixed(1)} s (more frames, or a lower --fps)`,
  );
}

const degrees = (focal: number, centre: number, size: number) =>
  (((Math.atan(centre / focal) + Math.atan((size - centre) / focal)) * 180) / Math.PI).toFixed(1);

const view = ({ fx, fy, cx, cy, width, height }: Intrinsics) =>
  `${degrees(fx, cx, width)} x ${degrees(fy, cy, height)} degrees`;

/** A camera of another shape sees more or less than it did; nobody should find out from the result. */
function sayIfFitted(recorded: Trajectory, clip: Trajectory, reporter: Reporter): void {
  const [from, to] = [recorded.frames[0].intrinsics, clip.frames[0].intrinsics];
  if (view(from) === view(to)) return;
  const how = to.fx === from.fx ? 'cropped' : 'scaled and cropped';
  reporter.say(
    `the camera's ${from.width}x${from.height} pixels, ${view(from)}, are ${how} to ${to.width}x${to.height}, ${view(to)} (--fit scale|crop)`,
  );
}

/** Guesses are offered, never taken. */
function sayWhatSeemsWrong(
  scene: SceneParts,
  trajectory: Trajectory,
  { sceneUp, sceneScale }: SceneFlags,
  reporter: Reporter,
): void {
  const { up, scale, extent } = guessPlacement(scene, trajectory);
  if (up && !sceneUp)
    reporter.say(
      `the scene seems to lie on its side: its largest level surface is not below the camera; if the picture is turned, pass --scene-up ${up}`,
    );
  if (scale && !sceneScale)
    reporter.say(
      `the scene is ${Number(extent.toPrecision(2))} m across; if its unit is another, pass --scene-scale ${scale}`,
    );
  const last = trajectory.frames.length - 1;
  for (const frame of new Set([0, last >> 1, last])) {
    const distance = insideSolid(scene, trajectory, frame);
    if (distance === undefined) continue;
    reporter.warn(
      `in frame ${frame} the camera is inside of something: it sees only the backs of faces, ${distance.toFixed(2)} m away (--scene-up, --scene-scale, or another trajectory)`,
    );
    return;
  }
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
    const check = new ViewCheck();
    const onDepth = async (frame: number, metres: Float32Array) => {
      check.add(frame, metres);
      await options.onDepth?.(frame, metres);
    };
    const clip = await renderSceneClip(held, trajectory, { ...options, onFrame, onDepth });
    check.report(reporter);
    return clip;
  } finally {
    held.destroy();
  }
}

/** Nearer than this nobody looks at a scene; a cloud of splats that fills the picture there is stood in. */
const TOO_NEAR = 0.05;

/** Keeps, of every frame's depth, whether anything is to be seen, and whether it is not much too near. */
class ViewCheck {
  readonly #empty: number[] = [];
  readonly #near: number[] = [];
  #frames = 0;

  add(frame: number, metres: Float32Array): void {
    let [seen, near] = [0, 0];
    for (const z of metres) {
      if (z > 0) seen++;
      if (z > 0 && z < TOO_NEAR) near++;
    }
    this.#frames++;
    if (seen === 0) this.#empty.push(frame);
    else if (near > metres.length / 2) this.#near.push(frame);
  }

  report(reporter: Reporter): void {
    const say = (frames: readonly number[], what: string) => {
      if (frames.length === 0) return;
      const which =
        frames.length === this.#frames
          ? `all ${this.#frames} frames`
          : `${frames.length} of ${this.#frames} frames, from frame ${frames[0]} on`;
      reporter.warn(`${what} in ${which} (--scene-up, --scene-scale, or another trajectory)`);
    };
    say(this.#empty, 'nothing of the scene is in view');
    say(this.#near, 'the camera stands in something: most of the picture is nearer than 5 cm');
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
