/** `dwm trajectory`: recordings into trajectories, trajectories at another rate, and a look at one. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { openNodeDevice, writeFileAtomic } from '@dwm/core-tensor/node';
import { contactSheet, type Frames, type RgbImage, writePng } from '@dwm/media/node';
import { clipTrajectory, resample, SIDES, type Trajectory, writeTransforms } from '@dwm/renderer';
import { RECORDING_FORMATS } from '@dwm/renderer/recordings';
import { type Command, Option } from 'commander';
import { interruptible } from '../interrupt.ts';
import { checkHands, drawHands, drawScene, handCounts } from '../render/clips.ts';
import { readHands, readScene, readTrajectory } from '../render/files.ts';
import { type ImportFlags, importTrajectory } from '../render/import.ts';
import { drawMap } from '../render/map.ts';
import {
  addHandOptions,
  type HandFlags,
  ignoreDistortionOption,
  type SceneFlags,
  sceneScaleOption,
  sceneUpOption,
  type TrajectoryFlags,
} from '../render/options.ts';
import { createReporter, type Reporter } from '../report.ts';
import { integer, real } from './options.ts';

export function addTrajectory(program: Command): void {
  const group = program.command('trajectory');
  const reporter = () => createReporter(program.opts().json === true);

  group
    .command('import')
    .description('a recording as a trajectory; its format is found by its content')
    .argument(
      '<files...>',
      'one recording, or the folder of a LeRobot data set; COLMAP, Ego-Exo4D and HOT3D consist of two files',
    )
    .requiredOption('--out <file>', 'the trajectory to write, .json')
    .addOption(
      new Option('--format <name>', 'insist on a format')
        .choices(['auto', ...Object.keys(RECORDING_FORMATS)])
        .default('auto'),
    )
    .option('--mano <file>', 'MANO model as .npz: for HaMeR, HOT3D and other files of MANO parameters')
    .option('--scale <metres>', "of one unit of COLMAP's, which knows no metres", real(1e-9), 1)
    .option('--width <pixels>', 'of recordings that do not say', integer(1, 65536))
    .option('--height <pixels>', 'of recordings that do not say', integer(1, 65536))
    .option(
      '--fps <n>',
      'of recordings without times; for a headset alone, the rate to sample it at',
      real(1e-3),
    )
    .option('--frames <n>', 'frames of a HaMeR clip, which may end without hands', integer(1))
    .option('--focal <pixels>', "of a headset's camera (Aria, HOT3D); 300 by default", real(1))
    .option('--extrinsics <file>', "JSON of a headset camera's 4x4 matrix, camera (OpenCV) to headset")
    .option('--episode <n>', 'of a LeRobot data set; 0 by default', integer(0))
    .option('--swap-hands', 'MediaPipe named them as in a mirror')
    .addOption(ignoreDistortionOption())
    .addHelpText(
      'after',
      `
Examples:
  dwm trajectory import transforms.json --out T.json
  dwm trajectory import sparse/0 --scale 0.35 --out T.json                      # COLMAP, binary or text
  dwm trajectory import mano_hand_pose_trajectory.jsonl headset_trajectory.csv --mano MANO_RIGHT.npz --out T.json`,
    )
    .action(async (files: string[], flags: ImportFlags & { out: string }) => {
      const { trajectory, format } = await importTrajectory(files, flags, reporter());
      await save(flags.out, trajectory, reporter(), { format });
    });

  group
    .command('resample')
    .description('the trajectory at another frame rate')
    .argument('<file>', 'a trajectory')
    .requiredOption('--out <file>', 'the trajectory to write, .json')
    .option('--fps <n>', 'frames a second', real(1e-3), 8)
    .option('--frames <n>', 'this many from the first one on; else all that there are', integer(1))
    .addOption(ignoreDistortionOption())
    .action(async (file: string, flags: ResampleFlags) => {
      const trajectory = await readTrajectory(file, flags, reporter());
      await save(flags.out, resample(trajectory, flags.fps, flags.frames), reporter());
    });

  const preview = group
    .command('preview')
    .description(
      'a picture of the trajectory: the path from above and from the side, and what the camera sees',
    )
    .argument('<file>', 'a trajectory')
    .requiredOption('--out <file>', 'the picture to write, .png')
    .option('--scene <files...>', 'draw the scene too')
    .addOption(sceneUpOption())
    .addOption(sceneScaleOption())
    .addOption(ignoreDistortionOption());
  addHandOptions(preview).action(async (file: string, flags: PreviewFlags) => {
    await interruptible((signal) => previewOf(file, flags, reporter(), signal));
  });
}

async function save(
  path: string,
  trajectory: Trajectory,
  reporter: Reporter,
  more: Record<string, unknown> = {},
): Promise<void> {
  await writeFileAtomic(path, writeTransforms(trajectory));
  const { frames, fps } = trajectory;
  const { width, height } = frames[0].intrinsics;
  const hands = handCounts(trajectory);
  const seconds = frames.at(-1)!.seconds - frames[0].seconds;
  reporter.result(
    { file: path, ...more, frames: frames.length, fps, seconds, width, height, framesWithHands: hands },
    `${path}: ${frames.length} frames at ${round(fps)} a second (${round(seconds)} s), ${width}x${height}, ` +
      `left hand in ${hands.left}, right hand in ${hands.right}`,
  );
}

const round = (value: number) => String(Math.round(value * 100) / 100);

interface ResampleFlags extends TrajectoryFlags {
  out: string;
  fps: number;
  frames?: number;
}

interface PreviewFlags extends HandFlags, TrajectoryFlags, SceneFlags {
  out: string;
  scene?: string[];
}

const CELL = { columns: 8, cellWidth: 180 };
/** Width of a contact sheet of eight such cells. */
const SHEET_WIDTH = 8 * (180 + 4) + 4;
const MAP_HEIGHT = 480;

async function previewOf(
  file: string,
  flags: PreviewFlags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  if (!/\.png$/i.test(flags.out))
    throw new InvalidArgumentError('out', `expected a name ending in .png, got ${flags.out}`);
  const trajectory = await readTrajectory(file, flags, reporter);
  const shown = sampled(trajectory);
  const hasHands = shown.frames.some(({ hands }) => SIDES.some((side) => hands[side]));
  if (hasHands) checkHands(shown, flags);
  const files = {
    trajectory: shown,
    scene: flags.scene ? await readScene(flags.scene, flags, reporter) : undefined,
    hands: await readHands(flags, reporter),
  };
  const pictures: RgbImage[] = [
    sheetOf('camera path and hands from above - from the side (white: the start)', trajectory),
  ];
  if (files.scene || hasHands) {
    const device = await openNodeDevice();
    const { scene } = files;
    try {
      const rows: { label: string; frames: Frames }[] = [];
      if (scene)
        rows.push({
          label: 'static',
          frames: await drawScene(device, { ...files, scene }, reporter, { signal }),
        });
      if (hasHands)
        rows.push({
          label: 'hands',
          frames: await drawHands(device, files, reporter, { samples: 4, signal }),
        });
      pictures.push(contactSheet(rows, CELL));
    } finally {
      device.destroy();
    }
  }
  await writePng(flags.out, stacked(pictures));
  reporter.result({ file: flags.out }, flags.out);
}

/** Eight frames spread over the trajectory, small: what the strips show. */
function sampled(trajectory: Trajectory): Trajectory {
  const { frames, fps } = trajectory;
  const count = Math.min(CELL.columns, frames.length);
  const picked = Array.from(
    { length: count },
    (_, i) => frames[Math.round((i * (frames.length - 1)) / Math.max(1, count - 1))],
  );
  const { width, height } = picked[0].intrinsics;
  const small = {
    width: 2 * CELL.cellWidth,
    height: Math.max(1, Math.round((2 * CELL.cellWidth * height) / width)),
  };
  // One by one, as the frames need not be evenly spaced.
  const fitted = picked.map(
    (frame) => clipTrajectory({ fps, frames: [frame] }, { frames: 1, fps, ...small, fit: 'scale' }).frames[0],
  );
  return { fps, frames: fitted };
}

function sheetOf(label: string, trajectory: Trajectory): RgbImage {
  const width = SHEET_WIDTH - 8;
  const map = drawMap(trajectory, width, MAP_HEIGHT);
  return contactSheet([{ label, frames: { ...map, frames: 1, fps: 1 } }], { columns: 1, cellWidth: width });
}

/** Pictures of one width below one another. */
function stacked(pictures: readonly RgbImage[]): RgbImage {
  const [{ width }] = pictures;
  const padded = pictures.map((picture) => (picture.width === width ? picture : widened(picture, width)));
  return {
    data: Uint8Array.from(Buffer.concat(padded.map(({ data }) => data))),
    width,
    height: padded.reduce((sum, { height }) => sum + height, 0),
  };
}

/** A sheet of fewer than eight frames is narrower. */
function widened({ data, width, height }: RgbImage, to: number): RgbImage {
  const wide = new Uint8Array(to * height * 3).fill(data[0]);
  for (let row = 0; row < height; row++)
    wide.set(data.subarray(row * width * 3, (row + 1) * width * 3), row * to * 3);
  return { data: wide, width: to, height };
}
