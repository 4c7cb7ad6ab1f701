/** Options that every command that draws has. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { type Command, Option } from 'commander';
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

export function addClipOptions(command: Command): Command {
  return command
    .option('--frames <n>', 'frames of the clip', integer(1), 49)
    .option('--fps <n>', 'frames a second', real(1, 240), 8)
    .option('--width <pixels>', 'of the picture', integer(2, 8192), 720)
    .option('--height <pixels>', 'of the picture', integer(2, 8192), 480);
}

export const fitOption = () =>
  new Option(
    '--fit <how>',
    'a camera of another size: scale it and cut off what hangs over, or crop the middle at its own scale',
  )
    .choices(['auto', 'scale', 'crop'])
    .default('auto');

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
