/** `dwm quantize`: a model folder whose linear layers are whole numbers with scales. */
import type { QuantizedDtype } from '@dwm/dwm-model';
import { quantizeModel } from '@dwm/dwm-model/node';
import { type Command, Option } from 'commander';
import { openModel } from '../generate/check.ts';
import { byteProgress } from '../generate/progress.ts';
import { interruptible } from '../interrupt.ts';
import { createReporter, size } from '../report.ts';

export function addQuantize(program: Command): void {
  program
    .command('quantize')
    .requiredOption('--model <dir>', 'folder of a model')
    .requiredOption('--out <dir>', 'folder for the quantized one')
    .addOption(
      new Option('--dtype <type>', 'of the weights of linear layers')
        .choices(['int8', 'int4'])
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--group-size <n>', 'int4: weights of a row that share a scale')
        .choices(['32', '64', '128'])
        .default('64'),
    )
    .addHelpText(
      'after',
      `
The blocks of transformer and text encoder become int8 with a scale for each row, which halves them and is hardly seen,
or int4 in groups, a quarter. All else stays as it is. Runs take the folder like any other, and a LoRA stays beside it.
Example:
  dwm quantize --model base --dtype int8 --out base-int8`,
    )
    .action(async (flags: { model: string; out: string; dtype: QuantizedDtype; groupSize: string }) => {
      const reporter = createReporter(program.opts().json === true);
      const { name } = await openModel(flags.model);
      const progress = byteProgress(reporter);
      const made = await interruptible((signal) =>
        quantizeModel(name, flags.out, {
          ...{ dtype: flags.dtype, groupSize: Number(flags.groupSize), signal },
          onProgress: progress,
        }),
      );
      const lines = made.map(({ file, int8, int4, kept, error, bytesBefore, bytes }) => {
        const counts = [int8 > 0 && `${int8} weights int8`, int4 > 0 && `${int4} int4`].filter(Boolean);
        return `${file}: ${counts.join(', ')}, ${kept} tensors as they were; ${size(bytesBefore)} became ${size(bytes)}, relative error of the weights ${error.toPrecision(2)}`;
      });
      reporter.result({ out: flags.out, networks: made }, [...lines, flags.out].join('\n'));
    });
}
