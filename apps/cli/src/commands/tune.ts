/** `dwm tune`: measures the kernels' variants at a model's shapes on this device, and keeps the fastest. */
import type { Device } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { loadTuning, openNodeDevice, resetTuning, saveTuning, tuneCachePath } from '@dwm/core-tensor/node';
import {
  type Choice,
  questionsOf,
  selfTest,
  type Tuned,
  type TuneProgress,
  tune,
} from '@dwm/core-tensor/tune';
import { DEFAULTS, type RunSettings, readOwnRunSettings } from '@dwm/dwm-model';
import {
  type ModelShapes,
  type PlanSize,
  planModel,
  publishedShapes,
  readModelShapes,
} from '@dwm/dwm-model/memory';
import { type Command, Option } from 'commander';
import { openModel } from '../generate/check.ts';
import { openDefaultModel } from '../generate/default-model.ts';
import { interruptible } from '../interrupt.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { inSteps, real } from './options.ts';

interface Flags {
  model?: string;
  numFrames?: number;
  height?: number;
  width?: number;
  precision: 'f32' | 'f16';
  budget: number;
  again?: true;
  reset?: true;
}

export function addTune(program: Command): void {
  program
    .command('tune')
    .option(
      '--model <dir>',
      "model folder whose shapes count; without it the default model's, the 2B's and the 5B's",
    )
    .option(
      '--num-frames <n>',
      "4k + 1; else the model's own (generation.json), or 49 on a GPU and fewer without",
      inSteps(1, 4, '4k + 1 frames: 1, 5, 9, … 49'),
    )
    .option(
      '--height <pixels>',
      'multiple of 16; likewise, 480 on a GPU',
      inSteps(16, 16, 'a multiple of 16'),
    )
    .option('--width <pixels>', 'multiple of 16; likewise, 720 on a GPU', inSteps(16, 16, 'a multiple of 16'))
    .addOption(
      new Option('--precision <type>', 'multiply in this type').choices(['f32', 'f16']).default('f32'),
    )
    .option('--budget <seconds>', 'time for it all; the heaviest kernels come first', real(0), 300)
    .option('--again', 'measure what is known too')
    .option('--reset', 'forget what was measured on this device, and measure nothing')
    .addHelpText(
      'after',
      `
What is measured lies in ${tuneCachePath()}, by adapter and driver. generate, train and demo use it, and measure for a few
seconds themselves what they meet for the first time: DWM_TUNE=<seconds>, 0 to measure nothing, off to use no choices.
DWM_TRACE=kernels prints which kernel runs and why.
Examples:
  dwm tune --budget 60
  dwm tune --model base --num-frames 49 --height 480 --width 720 --precision f16`,
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      await interruptible((signal) => run(flags, reporter, signal));
    });
}

/** Where none is asked for. */
const SIZES = {
  hardware: { frames: 49, height: 480, width: 720 },
  software: { frames: 5, height: 64, width: 96 },
};

async function run(flags: Flags, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const warn = (line: string) => reporter.warn(line);
  // Before a device is opened: a model that is not there.
  const folder = flags.model === undefined ? undefined : await openModel(flags.model);
  const device = await openNodeDevice();
  const { caps } = device;
  try {
    const adapter = caps.adapter.description || caps.adapter.device;
    reporter.say(adapter);
    if (flags.reset) {
      await resetTuning(device, { warn });
      reporter.result({ adapter, reset: true }, `${tuneCachePath()}: nothing is kept of this device`);
      return;
    }
    await loadTuning(device, { warn });
    const models: [ModelShapes, PlanSize][] = [];
    const usual = SIZES[caps.adapter.kind];
    const size = (own: Partial<RunSettings>): PlanSize => ({
      frames: flags.numFrames ?? own.numFrames ?? usual.frames,
      height: flags.height ?? own.height ?? usual.height,
      width: flags.width ?? own.width ?? usual.width,
      guided: (own.guidanceScale ?? DEFAULTS.guidanceScale) > 1,
    });
    const shapes = async (model: ModelFolder): Promise<[ModelShapes, PlanSize]> => [
      await readModelShapes(model),
      size(await readOwnRunSettings(model)),
    ];
    if (folder) models.push(await shapes(folder));
    else {
      models.push(await shapes((await openDefaultModel()).folder));
      models.push([publishedShapes('2B'), size({})], [publishedShapes('5B'), size({})]);
    }
    await measure(device, models, flags, reporter, signal);
  } finally {
    device.destroy();
  }
}

async function measure(
  device: Device,
  models: readonly [ModelShapes, PlanSize][],
  { precision, budget, again }: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const plan = () => models.flatMap(([model, size]) => planModel(device, model, size, precision));
  // What is computed wrongly is not worth a measurement.
  await selfTest(device, plan, {
    onLeftOut: (kernel, why) =>
      reporter.warn(`this driver computes ${kernel} wrongly (${why}); it is left out`),
  });
  const save = () => saveTuning(device, { warn: (line) => reporter.warn(line) });
  await save();
  const asked = questionsOf(plan());
  const questions = again ? asked : asked.filter(({ key }) => !device.decisions.choices.get(key));
  const begun = performance.now();
  const tuned = await tune(device, questions, {
    budgetMs: budget * 1000,
    signal,
    onProgress: (progress) =>
      reporter.progress(progressLine(progress, (performance.now() - begun) / 1000, budget)),
    // A run that is killed keeps what it has measured.
    onAnswer: save,
  });
  const counts = {
    known: asked.length - questions.length,
    unmeasured: questions.length - tuned.length,
  };
  const adapter = device.caps.adapter.description || device.caps.adapter.device;
  reporter.result({ adapter, file: tuneCachePath(), tuned, ...counts }, tuningTable(tuned, counts));
  signal.throwIfAborted();
}

/** E.g. `3 of 12, about 0:40 left: matmul m=512 n=64 k=64`. */
export function progressLine({ key, done, total }: TuneProgress, seconds: number, budget: number): string {
  const left = Math.max(0, budget - seconds);
  const eta = done === 0 ? left : Math.min(left, (seconds / done) * (total - done));
  return `${done} of ${total}, about ${clock(eta)} left: ${key}`;
}

const named = ({ variant, tuning }: Choice): string =>
  [variant, ...Object.entries(tuning ?? {}).map(([name, value]) => `${name}=${value}`)].join(' ');

/** A class without the name of its family, what is in braces, and ones. */
const shapeText = (family: string, key: string): string =>
  key
    .slice(family.length + 1)
    .replace(/ ?\w+=\{[^}]*\}/g, '')
    .replace(/ ?\b(batch|stride)=1\b/g, '')
    .trim();

const milliseconds = (ms: number): string =>
  ms < 1000 ? `${ms.toPrecision(3)} ms` : `${(ms / 1000).toPrecision(3)} s`;

/** One line a class: kernel, shape, default, chosen, how much faster that is. */
export function tuningTable(
  tuned: readonly Tuned[],
  { known, unmeasured }: { known: number; unmeasured: number },
): string {
  const rows = tuned.map(({ family, key, choice, defaultChoice, ms, defaultMs }) => [
    family,
    shapeText(family, key),
    `${named(defaultChoice)}, ${milliseconds(defaultMs)}`,
    ms < defaultMs ? `${named(choice)}, ${milliseconds(ms)}` : 'the default',
    ms < defaultMs ? `${(defaultMs / ms).toFixed(2)}x` : '',
  ]);
  const lines = [['kernel', 'shape', 'default', 'chosen', 'gain'], ...rows];
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  const table = lines.map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd(),
  );
  const rest = [
    ...(known > 0 ? [`${known} known from before; --again measures them too`] : []),
    ...(unmeasured > 0 ? [`${unmeasured} did not fit in the budget and keep their default`] : []),
  ];
  return [...(tuned.length > 0 ? table : ['nothing measured']), ...rest].join('\n');
}
