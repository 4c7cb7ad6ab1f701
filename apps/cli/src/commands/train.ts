/** `dwm train`: an experiment file in, checkpoints out; stopped and resumed at any time. */
import { join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { PLAN_DEVICES } from '@dwm/dwm-model/memory';
import {
  type InspectedBatches,
  inspectBatches,
  planTraining,
  type ReadClip,
  type TrainEvent,
  train,
} from '@dwm/dwm-model/node';
import { type Command, Option } from 'commander';
import { stringify } from 'yaml';
import { openModel } from '../generate/check.ts';
import { byteProgress } from '../generate/progress.ts';
import { interruptible } from '../interrupt.ts';
import { planLine, trainingTable } from '../memory/table.ts';
import { planTarget } from '../memory/target.ts';
import { aloneText, type Joined, joinJob, leaveJob, ofRank, reporterOfRank } from '../mpi/job.ts';
import { withLocalData } from '../remote/data-roots.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { ClipReader } from '../train/clip-reader.ts';
import { MODES, type Mode, readTrainingExperiment } from '../train/experiment.ts';
import { writeReconstructions } from '../train/reconstructions.ts';
import { validate } from '../train/validation.ts';
import { openTunedDevice } from '../tuning.ts';
import { integer, memoryOption } from './options.ts';

interface Flags {
  wire?: 'f32' | 'bf16';
  experimentConfig?: string;
  override?: string[];
  mode?: Mode;
  saveInitialCheckpoints?: true;
  printConfigOnly?: true;
  testDataloader?: true;
  testDataloaderSamples: number;
  followLinks?: true;
  resume?: string;
  debugNan?: true;
  memory?: number;
  dryRun?: true;
  device?: string;
}

export function addTrain(program: Command): void {
  program
    .command('train')
    .argument('[config]', 'experiment file, .yaml')
    .option('--experiment-config <yaml>', 'the same, as the original has it')
    .option('--override <key=value...>', 'change a value of the file, e.g. training.learning_rate=1e-5')
    .option('--resume <checkpoint>', 'latest, a checkpoint folder, or a folder of LoRA weights to start from')
    .addOption(
      new Option('--mode <mode>', 'output in <output_dir>/<name>_<mode>, as the original has it').choices(
        MODES,
      ),
    )
    .option('--save-initial-checkpoints', 'write checkpoint-0 before the first step')
    .option('--print-config-only', 'check the experiment, say how it is understood, and end')
    .addOption(memoryOption())
    .option(
      '--dry-run',
      `check the experiment, say what the training takes on the device, and end; --device may be ${PLAN_DEVICES.join(', ')}`,
    )
    .option('--test-dataloader', 'read the first batches, say what is in them, and end')
    .option('--test-dataloader-samples <n>', 'how many of them', integer(1), 4)
    .option('--follow-links', 'let links of the data root lead out of it')
    .addOption(
      new Option(
        '--wire <type>',
        'what gradients are sent in, from process to process (default: f32)',
      ).choices(['f32', 'bf16']),
    )
    .option('--debug-nan', 'if the loss is no longer a number, say which tensor went bad first')
    .addHelpText(
      'after',
      `
Several processes (mpirun -n 4 dwm train …) share the micro-batches of each step; the result has the same bits.
Ctrl-C or SIGTERM finishes the step, saves, and exits with 0; --resume latest goes on from there, with the same bits.
The output is in <output_dir>/<name> of the experiment.
Example:
  dwm train dwm.yaml --override data.data_root=/data experiment.output_dir=runs --resume latest`,
    )
    .action(async (given: string | undefined, flags: Flags) => {
      const joined = await joinJob();
      const { json, device } = program.opts();
      await ofRank(joined, () => run(given, { ...flags, device }, joined, json === true));
    });
}

async function run(
  given: string | undefined,
  flags: Flags,
  joined: Joined | undefined,
  json: boolean,
): Promise<void> {
  const peers = joined?.mpi;
  const reporter = joined ? reporterOfRank(createReporter(json), joined) : createReporter(json);
  const alone = joined ? undefined : aloneText();
  if (alone) reporter.warn(alone);
  const file = given ?? flags.experimentConfig;
  if (file === undefined) throw new InvalidArgumentError('config', 'is required: the experiment file, .yaml');
  const asked = await readTrainingExperiment(file, flags.override ?? [], reporter, flags);
  const output = asked.experiment.output_dir;
  if (flags.printConfigOnly) {
    reporter.result(asked, stringify(asked));
    return;
  }
  const folder = await openModel(asked.model.base_model_name_or_path, 'model.base_model_name_or_path');
  if (flags.dryRun) {
    const plan = await planTraining(asked, folder, await planTarget(flags), file);
    reporter.result(plan, trainingTable(plan));
    return;
  }
  const config = await interruptible((signal) => withLocalData(asked, reporter, signal));
  const clips = new ClipReader((line) => reporter.say(line));
  const read: ReadClip = (path, choose) => clips.read(path, choose);
  if (flags.testDataloader) {
    const seen = await inspectBatches(config, read, flags.testDataloaderSamples).finally(() => clips.close());
    reporter.result(seen, batchesText(seen));
    return;
  }
  const result = await interruptible((signal) =>
    train({
      config,
      experimentFile: file,
      resume: flags.resume,
      saveInitial: flags.saveInitialCheckpoints,
      debugNan: flags.debugNan,
      signal,
      ...(peers && { peers, wire: { bf16: flags.wire === 'bf16' } }),
      openDevice: () => openTunedDevice(reporter, join(output, 'tune.json'), flags.memory),
      readClip: read,
      validate: async (pipeline, samples, step) => {
        reporter.progress(`step ${step}: making ${samples.length} validation videos`);
        try {
          reporter.say(`validation: ${await validate(config, pipeline, samples, step, read, signal)}`);
        } catch (error) {
          // Asked to stop: the run itself saves and returns.
          if (!signal.aborted) throw error;
        }
      },
      reconstructions: async (clips, step) => {
        reporter.say(`reconstructions: ${await writeReconstructions(output, clips, step)}`);
      },
      onEvent: showing(reporter),
    }),
  ).finally(() => clips.close());
  if (joined) leaveJob(joined);
  if (peers && peers.rank !== 0) return;
  const loss = result.losses.at(-1)?.loss;
  const text = loss === undefined ? '' : `, loss ${loss.toPrecision(4)}`;
  const next = result.stopped ? '; go on with --resume latest' : '';
  reporter.result(result, `${result.checkpoint ?? 'nothing to do'}: step ${result.step}${text}${next}`);
}

/** Batches as the original's `--test_dataloader` prints them. */
function batchesText({ clips, batches, first }: InspectedBatches): string {
  const lines = [`dataset size: ${clips}`, `dataloader size: ${batches}`];
  for (const [i, samples] of first.entries()) {
    const shape = (of: (sample: (typeof samples)[number]) => readonly number[] | undefined) => {
      const shapes = [...new Set(samples.map((sample) => of(sample)?.join(', ') ?? 'to be encoded'))];
      return shapes.map((one) => (/^\d/.test(one) ? `shape=(${samples.length}, ${one})` : one)).join(' and ');
    };
    lines.push(
      '',
      `--- batch ${i + 1} ---`,
      `prompts: ${shape(({ prompt }) => prompt)}`,
      `prompt_texts: ${JSON.stringify(samples.map(({ caption }) => caption))}`,
      `videos: ${shape(({ shapes }) => shapes.video)}`,
      `hand_videos: ${shape(({ shapes }) => shapes.hand)}`,
      `static_videos: ${shape(({ shapes }) => shapes.static)}`,
      `relative_video_paths: ${JSON.stringify(samples.map(({ name }) => name))}`,
    );
  }
  return lines.join('\n');
}

function showing(reporter: Reporter): (event: TrainEvent) => void {
  const bytes = byteProgress(reporter);
  return (event) => {
    if (event.kind === 'note') reporter.say(event.text);
    else if (event.kind === 'plan') reporter.say(planLine(event.plan));
    else if (event.kind === 'warning') reporter.warn(event.text);
    else if (event.kind === 'checkpoint') reporter.say(`saved ${event.path}`);
    else if (event.kind === 'loading') bytes(`loading the ${event.part}`, event.done, event.total);
    else {
      const { step, steps, loss, lr, norm, samplesPerSecond, etaSeconds } = event;
      reporter.progress(
        `step ${step} of ${steps}, loss ${loss.toPrecision(4)}, lr ${lr.toExponential(2)}, gradient ${norm.toPrecision(3)}, ${samplesPerSecond.toPrecision(3)} samples/s, ${clock(etaSeconds)} left`,
        step === steps,
      );
    }
  };
}
