/** `dwm encode`: latents and prompt embeddings of a dataset, ahead of training. */
import { openNodeDevice } from '@dwm/core-tensor/node';
import { encodeDataset } from '@dwm/dwm-model/node';
import type { Command } from 'commander';
import { interruptible } from '../interrupt.ts';
import { clock, createReporter, size } from '../report.ts';
import { ClipReader } from '../train/clip-reader.ts';
import { readTrainingExperiment } from '../train/experiment.ts';

export function addEncode(program: Command): void {
  program
    .command('encode')
    .description('encode the clips and captions of an experiment, for training with load_tensors')
    .argument('<config>', 'experiment file, .yaml')
    .option('--override <key=value...>', 'change a value of the file, e.g. data.data_root=/data')
    .addHelpText(
      'after',
      '\nFiles go beside the clips (video_latents/ …). A stopped run goes on where it was; changed clips are encoded anew.',
    )
    .action(async (file: string, flags: { override?: string[] }) => {
      const reporter = createReporter(program.opts().json === true);
      const config = await readTrainingExperiment(file, flags.override ?? []);
      let fresh = 0;
      let since: number | undefined;
      const clips = new ClipReader();
      const result = await interruptible((signal) =>
        encodeDataset({
          config,
          signal,
          openDevice: () => openNodeDevice(),
          readClip: (path, choose) => {
            since ??= performance.now();
            return clips.read(path, choose);
          },
          onLoading: (part, done, total) =>
            reporter.progress(`loading the ${part}: ${size(done)} of ${size(total)}`),
          onFile: (path, encoded, done, total) => {
            if (encoded) fresh++;
            const each = (performance.now() - (since ?? performance.now())) / 1000 / Math.max(1, fresh);
            const left = fresh > 0 ? `, ${clock(each * (total - done))} left` : '';
            reporter.progress(`${done} of ${total} files${left}  ${path}`, done === total);
          },
        }),
      ).finally(() => clips.close());
      reporter.result(
        result,
        `${result.written} files encoded, ${result.total - result.written} were there already`,
      );
    });
}
