/**
 * `dwm demo`: a drawer opens because a hand pulls it. A room and a hand that acts in it are simulated from a seed that
 * no training saw. The repository's model is shown the room at rest and the hand alone; what it makes of them is
 * compared with what happens in the simulation.
 */
import { join } from 'node:path';
import { beforeUse, type Device } from '@dwm/core-tensor';
import { withOutput } from '@dwm/core-tensor/node';
import { DwmPipeline } from '@dwm/dwm-model';
import { ACTIONS, type Action } from '@dwm/synth';
import { FIRST_TEST_SEED } from '@dwm/synth/node';
import { type Command, Option } from 'commander';
import { demoScores, scoreTable } from '../demo/scores.ts';
import { simulatedClip } from '../demo/simulated-clip.ts';
import { type ChosenModel, DEFAULT_MODEL, madeFor, openDefaultModel } from '../generate/default-model.ts';
import type { ClipVideos } from '../generate/inputs.ts';
import { outputPaths, toFrames, writeClip } from '../generate/outputs.ts';
import { generationProgress, loadingProgress } from '../generate/progress.ts';
import { interruptible } from '../interrupt.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { integer } from './options.ts';

interface Flags {
  out: string;
  seed: number;
  action: Action;
}

/** @param model the folder of the model that is shown. */
export function addDemo(program: Command, model = DEFAULT_MODEL): void {
  program
    .command('demo')
    .description('simulate a hand that acts in a room, and see whether the default model knows what happens')
    .option('--out <dir>', 'folder to write to', 'dwm-demo')
    .option('--seed <n>', `of room and hand; unseen in training from ${FIRST_TEST_SEED} on`, integer(0), SEED)
    .addOption(new Option('--action <name>', 'what the hand does').choices(ACTIONS).default('pull-drawer'))
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      await interruptible((signal) => withOutput(flags.out, {}, () => demo(flags, model, reporter, signal)));
    });
}

const SEED = FIRST_TEST_SEED;

async function demo(flags: Flags, path: string, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const model = await openDefaultModel(path);
  reporter.say(`the model is ${madeFor(model)}`);
  const device = await openTunedDevice(reporter);
  try {
    const { seed, clip, passes } = await simulatedClip(device, flags, model.settings, reporter, signal);
    reporter.say(`seed ${seed}: ${clip.caption}`);
    const videos = {
      staticVideo: passes.staticVideo,
      handVideo: passes.handVideo,
      truth: passes.interaction,
    };
    const generated = await generate(device, model, clip.caption, videos, reporter, signal);
    const paths = outputPaths(join(flags.out, 'demo'), true);
    await writeClip(paths, generated, videos);
    const psnr = demoScores({ ...videos, generated });
    const seconds = (performance.now() - started) / 1000;
    reporter.result(
      { ...paths, seed, action: clip.action, caption: clip.caption, psnr, seconds },
      [
        `video          ${paths.video}`,
        `contact sheet  ${paths.contactSheet}   (static | hands | generated | truth: the simulation)`,
        '',
        scoreTable(psnr),
        '',
        `${clock(seconds)} in all`,
      ].join('\n'),
    );
  } finally {
    device.destroy();
  }
}

async function generate(
  device: Device,
  { folder, settings }: ChosenModel,
  prompt: string,
  { staticVideo, handVideo }: ClipVideos,
  reporter: Reporter,
  signal: AbortSignal,
) {
  const pipeline = await DwmPipeline.load(device, folder, { onProgress: loadingProgress(reporter, signal) });
  try {
    const run = { ...settings, staticVideo, handVideo, prompt };
    await beforeUse.tune(device, () => pipeline.estimate(run));
    const onProgress = generationProgress(reporter);
    const generated = await pipeline.generate({ ...run, signal, onProgress });
    signal.throwIfAborted();
    return toFrames(generated, settings.fps);
  } finally {
    pipeline.destroy();
  }
}
