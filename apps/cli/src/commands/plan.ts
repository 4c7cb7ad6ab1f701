/** `dwm plan`: hand paths are sampled, simulated by the model and ranked; the search goes on around the best. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Device, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { withOutput, writeFileAtomic } from '@dwm/core-tensor/node';
import { writePng } from '@dwm/media/node';
import { type CameraFit, placement, type Vec3, writeTransforms } from '@dwm/renderer';
import { decodeImage } from '@dwm/renderer/node';
import { type ClipSize, PassRenderer, wristOf } from '@dwm/synth';
import type { Command } from 'commander';
import { checkModel, Generator } from '../eval/models.ts';
import { DEFAULT_MODEL } from '../generate/default-model.ts';
import { interruptible } from '../interrupt.ts';
import { describePoint, handPath, startingSide, targetsAt } from '../plan/hand-path.ts';
import { SEARCH, searchPath, type Task } from '../plan/search.ts';
import { readState } from '../plan/search-state.ts';
import { synthRoom } from '../plan/synth-room.ts';
import { type ClipFlags, clipSize, withClipOptions } from '../rank/clip-options.ts';
import { readGoal } from '../rank/goal.ts';
import { rankingSheet } from '../rank/results.ts';
import { drawScene, readClipFiles } from '../render/clips.ts';
import {
  fitOption,
  ignoreDistortionOption,
  type SceneFlags,
  sceneScaleOption,
  sceneUpOption,
  type TrajectoryFlags,
} from '../render/options.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { integer } from './options.ts';

interface Flags extends ClipFlags, SceneFlags, TrajectoryFlags {
  fit?: CameraFit;
  synth?: number;
  scene?: string[];
  start?: string;
  goal?: string;
  target: Vec3[];
  model: string;
  prompt?: string;
  promptEmbeds?: string;
  population: number;
  rounds: number;
  elite: number;
  seeds: number;
  seed: number;
  out: string;
}

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .optionsGroup('Where:')
    .option('--synth <seed>', 'a made-up room with a drawer; its physics also runs the winner', integer(0))
    .option('--scene <files...>', 'the scene: .glb, .gltf, .ply, .splat, .spz, .sog')
    .option(
      '--start <file>',
      'trajectory: the camera path, and in its first frame the hand before the action',
    )
    .addOption(sceneUpOption())
    .addOption(sceneScaleOption())
    .addOption(fitOption())
    .addOption(ignoreDistortionOption())
    .option(
      '--goal <file>',
      'how the scene is to look in the end: a picture (.png, .jpg, .webp), or a video or folder of frames whose last ones count',
    )
    .option(
      '--target <x,y,z>',
      'a place that the hand may take hold of, metres; may be given again',
      (text: string, before: Vec3[]) => [...before, readPoint(text)],
      [],
    )
    .optionsGroup('Search:')
    .option('--population <n>', 'paths a round', integer(2), SEARCH.population)
    .option('--rounds <n>', 'rounds; the first samples everywhere', integer(1), SEARCH.rounds)
    .option('--elite <n>', 'paths that the next round is drawn around', integer(1), SEARCH.elite)
    .option('--seeds <k>', 'clips of each path', integer(1), 1)
    .option('--seed <n>', 'of the search and of the first clip', integer(0), 42)
    .optionsGroup('Model:')
    .option('--model <dir>', 'model folder', DEFAULT_MODEL)
    .option('--prompt <text>', 'what happens; of a made-up room its own caption, if left out')
    .option('--prompt-embeds <file>', 'safetensors with embeddings, in place of a prompt');
  withClipOptions(command)
    .option('--out <dir>', 'folder for the winning trajectory; a stopped search there goes on', 'dwm-plan')
    .addHelpText(
      'after',
      `
Examples:
  dwm plan --synth 1000007
  dwm plan --scene kitchen.glb --start T.json --goal open.png --target 0.2,0.8,-0.5`,
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      await interruptible((signal) => withOutput(flags.out, {}, () => plan(flags, reporter, signal)));
    });
}

function readPoint(text: string): Vec3 {
  const numbers = text.split(',').map(Number);
  if (numbers.length === 3 && numbers.every(Number.isFinite)) return numbers as unknown as Vec3;
  throw new InvalidArgumentError('target', `expected x,y,z in metres, got "${text}"`);
}

async function synthTask(seed: number, device: Device, size: ClipSize): Promise<Task> {
  const passes = new PassRenderer(device, decodeImage);
  try {
    const room = await synthRoom(seed, passes, size);
    if (!('rejected' in room)) return room;
    throw new InvalidArgumentError(
      'synth',
      `the room of seed ${seed} cannot be used (${room.rejected}); take another`,
    );
  } finally {
    passes.destroy();
  }
}

/** What is searched in, read from files. @throws before a device is opened, for what is missing or wrong. */
async function readSceneFiles(flags: Flags, size: ClipSize, reporter: Reporter) {
  const { scene, start, goal, target } = flags;
  const missing = Object.entries({ scene, start, goal, target: target[0] })
    .filter(([, value]) => value === undefined)
    .map(([name]) => `--${name}`);
  if (missing.length > 0)
    throw new InvalidArgumentError(
      missing[0].slice(2),
      `give ${missing.join(', ')}; or --synth for a made-up room`,
    );
  const files = await readClipFiles({ ...flags, ...size, scene: scene!, trajectory: start! }, reporter);
  const { trajectory: camera } = files;
  const side = startingSide(camera);
  if (!side) {
    throw new InvalidFileError(
      start!,
      'frame 0 has no hand with joints to start from; give --start a trajectory with hands in its first frame',
    );
  }
  return { files, side, goal: await readGoal(goal!, size, reporter) };
}

async function sceneTask(
  { files, side, goal }: Awaited<ReturnType<typeof readSceneFiles>>,
  target: Vec3[],
  device: Device,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Task> {
  const { trajectory: camera } = files;
  return {
    setting: {
      targets: targetsAt(target, placement(camera.frames[0].camera).position),
      camera,
      hand: { side, size: 1 },
      start: wristOf(camera.frames[0].hands[side]!.joints!),
    },
    staticVideo: await drawScene(device, files, reporter, { signal }),
    goal,
    hands: files.hands,
    caption: '',
  };
}

async function plan(flags: Flags, reporter: Reporter, signal: AbortSignal): Promise<void> {
  if (flags.synth !== undefined && flags.scene)
    throw new InvalidArgumentError('synth', 'expected --synth or --scene, got both');
  const stateFile = join(flags.out, 'search.json');
  const { rounds, out, ...identity } = flags;
  const key = JSON.stringify(identity);
  let state = await readState(stateFile, key);
  const model = await checkModel(flags.model, flags);
  const { settings } = model;
  const size = clipSize(flags, settings);
  const files = flags.synth === undefined ? await readSceneFiles(flags, size, reporter) : undefined;
  const device = await openTunedDevice(reporter, undefined, flags.memory);
  const generator = await Generator.load(device, model, size, reporter, signal);
  try {
    const task = files
      ? await sceneTask(files, flags.target, device, reporter, signal)
      : await synthTask(flags.synth!, device, size);
    const { setting, staticVideo, goal, caption } = task;
    const prompt = generator.embeds ?? flags.prompt ?? caption;
    await mkdir(out, { recursive: true });
    const { population, elite, seeds, seed } = flags;
    const [begun, firstRound] = [performance.now(), state.round];
    const { numInferenceSteps, guidanceScale } = settings;
    state = await searchPath(device, generator.pipeline, task, state, {
      ...{ population, rounds, elite, seeds, seed, prompt, numInferenceSteps, guidanceScale, signal },
      distance: generator.distance(),
      onClip: (round, done, total) => {
        const clips = (round - firstRound) * total + done;
        const left = ((performance.now() - begun) / clips) * ((rounds - firstRound) * total - clips);
        reporter.progress(
          `round ${round + 1} of ${rounds}: clip ${done} of ${total}, ${clock(left / 1000)} left`,
          done === total,
        );
      },
      onRound: async (searched, ranked, candidates) => {
        const sheet = rankingSheet(ranked.slice(0, 6), candidates, staticVideo, goal);
        await writePng(join(out, `round-${searched.round}.png`), sheet);
        await writeFileAtomic(stateFile, `${JSON.stringify({ key, state: searched })}\n`);
        const [{ name, distance }] = ranked;
        reporter.say(`round ${searched.round}: ${name}, distance ${distance.mean.toFixed(4)}`);
      },
    });
    const [{ point, cost }] = state.scored;
    const winner = handPath(point, setting);
    const trajectory = join(out, 'trajectory.json');
    await writeFileAtomic(trajectory, writeTransforms(winner));
    const checked = await task.check?.(winner);
    const action = describePoint(point, setting);
    reporter.result(
      { trajectory, action, distance: cost, opened: checked?.opened, clips: state.scored.length },
      [
        `${action}: distance ${cost.toFixed(4)}, best of ${state.scored.length} paths`,
        ...(checked ? [checked.text] : []),
        trajectory,
      ].join('\n'),
    );
  } finally {
    generator.pipeline.destroy();
    device.destroy();
  }
}
