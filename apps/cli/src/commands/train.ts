/** `dwm train`: an experiment file in, checkpoints out; stopped and resumed at any time. */
import { join } from 'node:path';
import { type TrainEvent, train } from '@dwm/dwm-model/node';
import type { Command } from 'commander';
import { interruptible } from '../interrupt.ts';
import { clock, createReporter, type Reporter, size } from '../report.ts';
import { ClipReader } from '../train/clip-reader.ts';
import { readTrainingExperiment } from '../train/experiment.ts';
import { writeReconstructions } from '../train/reconstructions.ts';
import { validate } from '../train/validation.ts';
import { openTunedDevice } from '../tuning.ts';

interface Flags {
  override?: string[];
  resume?: string;
  debugNan?: true;
}

export function addTrain(program: Command): void {
  program
    .command('train')
    .description('train a model, as an experiment file of the original says')
    .argument('<config>', 'experiment file, .yaml')
    .option('--override <key=value...>', 'change a value of the file, e.g. training.learning_rate=1e-5')
    .option('--resume <checkpoint>', 'latest, a checkpoint folder, or a folder of LoRA weights to start from')
    .option('--debug-nan', 'if the loss is no longer a number, say which tensor went bad first')
    .addHelpText(
      'after',
      `
Ctrl-C or SIGTERM finishes the step, saves, and exits with 0; --resume latest goes on from there, with the same bits.
Example:
  dwm train dwm.yaml --override data.data_root=/data experiment.output_dir=runs/1 --resume latest`,
    )
    .action(async (file: string, flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      const config = await readTrainingExperiment(file, flags.override ?? []);
      const clips = new ClipReader();
      const result = await interruptible((signal) =>
        train({
          config,
          resume: flags.resume,
          debugNan: flags.debugNan,
          signal,
          openDevice: () => openTunedDevice(reporter, join(config.experiment.output_dir, 'tune.json')),
          readClip: (path, choose) => clips.read(path, choose),
          validate: async (pipeline, samples, step) => {
            reporter.progress(`step ${step}: making ${samples.length} validation videos`);
            try {
              reporter.say(`validation: ${await validate(config, pipeline, samples, step, signal)}`);
            } catch (error) {
              // Asked to stop: the run itself saves and returns.
              if (!signal.aborted) throw error;
            }
          },
          reconstructions: async (clips, step) => {
            reporter.say(
              `reconstructions: ${await writeReconstructions(config.experiment.output_dir, clips, step)}`,
            );
          },
          onEvent: (event) => show(event, reporter),
        }),
      ).finally(() => clips.close());
      const loss = result.losses.at(-1)?.loss;
      const text = loss === undefined ? '' : `, loss ${loss.toPrecision(4)}`;
      const next = result.stopped ? '; go on with --resume latest' : '';
      reporter.result(result, `${result.checkpoint ?? 'nothing to do'}: step ${result.step}${text}${next}`);
    });
}

function show(event: TrainEvent, reporter: Reporter): void {
  if (event.kind === 'note') reporter.say(event.text);
  else if (event.kind === 'warning') reporter.warn(event.text);
  else if (event.kind === 'checkpoint') reporter.say(`saved ${event.path}`);
  else if (event.kind === 'loading')
    reporter.progress(`loading the ${event.part}: ${size(event.done)} of ${size(event.total)}`);
  else {
    const { step, steps, loss, lr, norm, samplesPerSecond, etaSeconds } = event;
    reporter.progress(
      `step ${step} of ${steps}, loss ${loss.toPrecision(4)}, lr ${lr.toExponential(2)}, gradient ${norm.toPrecision(3)}, ${samplesPerSecond.toPrecision(3)} samples/s, ${clock(etaSeconds)} left`,
      step === steps,
    );
  }
}
