/** `dwm model`: makes a model folder of others, without a device. */
import { InvalidFileError } from '@dwm/core-tensor';
import { withOutput } from '@dwm/core-tensor/node';
import { mixWeights, noiseToHands, writeHalfModel } from '@dwm/dwm-model/node';
import type { Command } from 'commander';
import { familyOfModel } from '../generate/default-model.ts';
import { createReporter } from '../report.ts';
import { real } from './options.ts';

/** @throws InvalidFileError for a model in other parts than those that are rewritten here. */
async function checkFamily(path: string): Promise<void> {
  const { name } = await familyOfModel(path);
  if (name === 'CogVideoX') return;
  throw new InvalidFileError(
    path,
    `holds ${name}; dwm model rewrites CogVideoX, and dwm quantize makes others smaller`,
  );
}

export function addModel(program: Command): void {
  const model = program.command('model').addHelpText(
    'after',
    `
Examples:
  dwm model half runs/dwm-tiny/decoder/model models/dwm-tiny
  dwm model mix runs/late/model runs/early/model mixed --share 0.75`,
  );
  const reporter = () => createReporter(program.opts().json === true);
  const folders = (name: string) => model.command(name).argument('<from>', 'model folder to read');

  folders('half')
    .description('the same model with weights in f16, as it is given away; other files of <to> stay')
    .argument('<to>', 'model folder to write')
    .action(async (from: string, to: string) => {
      await checkFamily(from);
      const parts = await withOutput(to, {}, () => writeHalfModel(from, to));
      const lines = parts.map(
        ({ part, parameters, bytes }) =>
          `${part.padEnd(13)} ${(parameters / 1e6).toFixed(3)} M parameters, ${(bytes / 1e6).toFixed(2)} MB`,
      );
      reporter().result({ out: to, parts }, [...lines, to].join('\n'));
    });

  folders('mix')
    .description('the mean of the transformers of two trainings; all other parts are of <from>')
    .argument('<other>', 'model folder to read')
    .argument('<to>', 'model folder to write')
    .requiredOption('--share <share>', 'of the first, 0 to 1', real(0, 1))
    .action(async (from: string, other: string, to: string, { share }: { share: number }) => {
      await checkFamily(from);
      await withOutput(to, {}, () => mixWeights(from, other, share, to));
      reporter().result({ out: to }, to);
    });

  folders('noise-to-hands')
    .description('what a DWM of a single step starts from: weights that read noise read hands')
    .argument('<to>', 'model folder to write')
    .action(async (from: string, to: string) => {
      await checkFamily(from);
      await withOutput(to, {}, () => noiseToHands(from, to));
      reporter().result({ out: to }, to);
    });
}
