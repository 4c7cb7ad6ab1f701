/**
 * `dwm demo`: a drawer opens because a hand pulls it, and stays shut because another does not. A room and two hands in it are
 * simulated from a seed that no training saw. The repository's model is shown the room at rest and each hand alone, both times
 * under the caption of the one that pulls; what it makes of them is compared with what happens in the simulation.
 */
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { withOutput } from '@dwm/core-tensor/node';
import { beforeUse } from '@dwm/core-tensor/tune';
import { readModelShapes } from '@dwm/dwm-model/memory';
import { contactSheet, sideBySide, writePng, writeVideo } from '@dwm/media/node';
import { type Action, FIRST_TEST_SEED, LEAVES_ALL, LEFT_TO_PHYSICS, ROOMS } from '@dwm/synth';
import { type Command, Option } from 'commander';
import { demoScores, scoreTable } from '../demo/scores.ts';
import { type DrawnClip, simulatedPair } from '../demo/simulated-pair.ts';
import { type ChosenModel, DEFAULT_MODEL, madeFor, openDefaultModel } from '../generate/default-model.ts';
import { outputPaths, writeClip } from '../generate/outputs.ts';
import { generationProgress } from '../generate/progress.ts';
import { interruptible } from '../interrupt.ts';
import { needsOf, openPipeline } from '../memory/open-pipeline.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { integer, memoryOption } from './options.ts';

interface Flags {
  out: string;
  seed: number;
  action: Action;
  memory?: number;
}

/** @param model the folder of the model that is shown. */
export function addDemo(program: Command, model = DEFAULT_MODEL): void {
  program
    .command('demo')
    .option('--out <dir>', 'folder to write to', 'dwm-demo')
    .option('--seed <n>', `of room and hand; unseen in training from ${FIRST_TEST_SEED} on`, integer(0), SEED)
    .addOption(
      new Option('--action <name>', 'what the first hand does; the second touches nothing')
        .choices(SHOWN)
        .default('pull-drawer'),
    )
    .addOption(memoryOption())
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      await interruptible((signal) => withOutput(flags.out, {}, () => demo(flags, model, reporter, signal)));
    });
}

/** After these something is elsewhere. */
const SHOWN = ROOMS.filter((action) => !LEAVES_ALL.has(action) && !LEFT_TO_PHYSICS.has(action));

const SEED = FIRST_TEST_SEED;

async function demo(flags: Flags, path: string, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const model = await openDefaultModel(path);
  reporter.say(`the model is ${madeFor(model)}`);
  const device = await openTunedDevice(reporter, undefined, flags.memory);
  try {
    const { seed, acting, idle } = await simulatedPair(device, flags, model.settings, reporter, signal);
    const { action, caption } = acting.clip;
    reporter.say(`seed ${seed}, twice under the caption "${caption}"`);
    const [acts, touchesNothing] = await generateBoth(
      device,
      model,
      caption,
      [acting, idle],
      reporter,
      signal,
    );
    const stem = join(flags.out, 'demo');
    const shown = [
      { ...acts, paths: outputPaths(`${stem}_acts`, true) },
      { ...touchesNothing, paths: outputPaths(`${stem}_touches_nothing`, true) },
    ];
    for (const { paths, generated, videos } of shown) await writeClip(paths, generated, videos);
    const sheet = `${stem}_contact_sheet.png`;
    const rows = shown.flatMap(({ generated, videos }, i) => [
      {
        label: i === 0 ? `hand: ${caption}` : 'hand that touches nothing, same caption',
        frames: videos.handVideo,
      },
      { label: 'generated', frames: generated },
      { label: 'truth', frames: videos.truth },
    ]);
    await writePng(sheet, contactSheet([{ label: 'static', frames: acts.videos.staticVideo }, ...rows], {}));
    const video = `${stem}.mp4`;
    await writeVideo(video, sideBySide(shown.flatMap(({ generated, videos }) => [generated, videos.truth])));
    const psnr = { acts: demoScores(acts), touchesNothing: demoScores(touchesNothing) };
    const seconds = (performance.now() - started) / 1000;
    reporter.result(
      {
        video,
        contactSheet: sheet,
        clips: shown.map(({ paths }) => paths),
        seed,
        action,
        caption,
        psnr,
        seconds,
      },
      [
        `video          ${video}   (generated | truth, of the hand that acts, then of the one that touches nothing)`,
        `contact sheet  ${sheet}   (truth: the simulation)`,
        '',
        scoreTable(`the hand acts: ${caption}`, psnr.acts),
        '',
        scoreTable('the hand touches nothing, the caption is the same', psnr.touchesNothing),
        '',
        `${clock(seconds)} in all`,
        'your own clip: dwm generate --static scene.mp4 --hands hands.mp4 --prompt "…" --out out.mp4   (docs/getting-started.md)',
      ].join('\n'),
    );
  } finally {
    device.destroy();
  }
}

/** Every clip's hands in the room, under one caption. */
async function generateBoth(
  device: Device,
  { path, folder, settings }: ChosenModel,
  prompt: string,
  clips: readonly [DrawnClip, DrawnClip],
  reporter: Reporter,
  signal: AbortSignal,
) {
  const planned = { path, folder, shapes: await readModelShapes(folder), needs: needsOf(settings) };
  const pipeline = await openPipeline(device, planned, {}, reporter, signal);
  const generate = async ({ passes }: DrawnClip) => {
    const { staticVideo, handVideo, interaction: truth } = passes;
    const run = { ...settings, staticVideo, handVideo, prompt };
    await beforeUse.tune(device, () => pipeline.estimate(run).plans);
    const onProgress = generationProgress(reporter);
    const made = await pipeline.generate({
      ...{ ...run, signal, onProgress },
      onWarning: (line) => reporter.warn(line),
    });
    signal.throwIfAborted();
    return { generated: { ...made, fps: settings.fps }, videos: { staticVideo, handVideo, truth } };
  };
  try {
    return [await generate(clips[0]), await generate(clips[1])] as const;
  } finally {
    pipeline.destroy();
  }
}
