/** Options that every command that draws has. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { AXES, type CameraFit, type SignedAxis, type Vec3 } from '@dwm/renderer';
import { type Command, InvalidArgumentError as CommanderArgumentError, Option } from 'commander';
import { integer, real } from '../commands/options.ts';

/** What the hands are drawn with. */
export interface HandFlags {
  mano?: string;
  handGlb?: string[];
}

/** How a trajectory's file is read. */
export interface TrajectoryFlags {
  ignoreDistortion?: true;
}

/** How a scene's files are read. */
export interface SceneFlags {
  sceneUp?: Vec3;
  sceneScale?: number;
}

/** How a scene and a trajectory become clips. */
export interface DrawFlags extends HandFlags, TrajectoryFlags, SceneFlags {
  fit?: CameraFit;
}

export interface ClipFlags extends HandFlags, TrajectoryFlags {
  frames: number;
  fps: number;
  width: number;
  height: number;
}

export const manoOption = () =>
  new Option('--mano <file>', 'MANO model as .npz, for hands given by MANO parameters');

export const handGlbOption = () =>
  new Option(
    '--hand-glb <files...>',
    'left and right rigged hand with WebXR joint names; else built-in ones',
  );

export const addHandOptions = (command: Command): Command =>
  command.addOption(manoOption()).addOption(handGlbOption());

/** All but the frames, which not every command has a default for. */
export function addClipOptions(command: Command): Command {
  return command
    .option('--fps <n>', 'frames a second', real(1, 240), 8)
    .option('--width <pixels>', 'of the picture', integer(2, 8192), 720)
    .option('--height <pixels>', 'of the picture', integer(2, 8192), 480);
}

export const fitOption = () =>
  new Option(
    '--fit <how>',
    "a camera of another size: scale its picture and cut off what hangs over, or crop the middle at its own scale; auto scales, and narrows a headset's square to 100 degrees",
  ).choices(['auto', 'scale', 'crop']);

export const sceneUpOption = () =>
  new Option(
    '--scene-up <axis>',
    "the scene's direction that is up, x, y, z, -x, -y, -z or three numbers a,b,c; it is turned to +y",
  ).argParser(readUp);

export const sceneScaleOption = () =>
  new Option('--scene-scale <metres>', 'of one unit of the scene').argParser(real(1e-6, 1e6));

/** What every command that draws a scene along a trajectory takes. */
export const drawOptions = (): Option[] => [
  fitOption(),
  sceneUpOption(),
  sceneScaleOption(),
  ignoreDistortionOption(),
];

function readUp(text: string): Vec3 {
  if (Object.hasOwn(AXES, text)) return AXES[text as SignedAxis];
  const numbers = text
    .trim()
    .split(/[\s,]+/)
    .map(Number);
  if (numbers.length === 3 && numbers.every(Number.isFinite) && Math.hypot(...numbers) > 1e-6)
    return numbers as unknown as Vec3;
  throw new CommanderArgumentError('expected x, y, z, -x, -y, -z, or three numbers such as 0,0.9,0.1.');
}

export const ignoreDistortionOption = () =>
  new Option(
    '--ignore-distortion',
    "take the pinhole part of any lens; small distortion passes without it, a fisheye's not even with it",
  );

/** @throws InvalidArgumentError unless there are two files, or none. */
export function checkHandFlags({ handGlb }: HandFlags): void {
  if (handGlb && handGlb.length !== 2) {
    throw new InvalidArgumentError(
      'hand-glb',
      `expected two files, the left and the right hand, got ${handGlb.length}`,
    );
  }
}

/** The name of a clip's files. @throws InvalidArgumentError for one that leads out of their folder. */
export function checkName(name: string): string {
  if (!/^[^\\/]+$/.test(name) || name === '.' || name === '..')
    throw new InvalidArgumentError('name', `expected a plain file name without folders, got "${name}"`);
  return name;
}
