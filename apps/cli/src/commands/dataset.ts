/** `dwm dataset split|check`: lists to train, validate and test with, and what clips lack. */
import { join } from 'node:path';
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import {
  checkSamples,
  findVideos,
  LAYOUTS,
  type Layout,
  REQUIRED,
  relativeTo,
  splitDataset,
  writeSplit,
} from '@dwm/dwm-model/node';
import { type Command, Option } from 'commander';
import { createReporter } from '../report.ts';
import { integer, real } from './options.ts';

interface Flags {
  datasetType: Layout;
  dataRoot: string;
  requiredSubdirs?: string[];
}

interface SplitFlags extends Flags {
  outputDir?: string;
  outputName?: string;
  outputBaseDir: string;
  testRatio: number;
  valRatio: number;
  seed: number;
  allowMissingProcessed?: true;
}

export function addDataset(program: Command): void {
  const dataset = program.command('dataset');
  const shared = (command: Command) =>
    command
      .addOption(
        new Option(
          '--dataset-type <type>',
          '<scene>/<action>/videos, or SingleHand|DoubleHand/<scene>/videos',
        )
          .choices(LAYOUTS)
          .makeOptionMandatory(),
      )
      .requiredOption('--data-root <dir>', 'folder of the clips')
      .option(
        '--required-subdirs <names...>',
        `folders in which a clip needs a file (${REQUIRED.join(', ')})`,
      );
  shared(dataset.command('split'))
    .description("cut a dataset into train, val and test as the original's script does")
    .option('--output-dir <dir>', 'folder for the lists (default: dataset_files/<type>)')
    .option('--output-name <name>', 'name of that folder in dataset_files/')
    .option(
      '--output-base-dir <dir>',
      'folder that the lists are relative to: the data root of training',
      '.',
    )
    .option('--test-ratio <share>', 'of the actions (trumans) or clips', real(0, 1), 0.15)
    .option('--val-ratio <share>', 'of the clips that are left', real(0, 1), 0.15)
    .option('--seed <n>', 'of the shuffle', integer(0), 42)
    .option('--allow-missing-processed', 'take clips that lack something too')
    .addHelpText(
      'after',
      '\nExample:\n  dwm dataset split --dataset-type trumans --data-root data/trumans --output-dir data/lists --output-base-dir data',
    )
    .action(async (flags: SplitFlags) => {
      const reporter = createReporter(program.opts().json === true);
      const videos = await videosOf(flags);
      const { valid, invalid } = flags.allowMissingProcessed
        ? { valid: videos, invalid: [] }
        : await checkSamples(videos, flags.requiredSubdirs);
      const paths = await relativeTo(flags.outputBaseDir, valid);
      const split = splitDataset(paths, flags.datasetType, flags);
      const lost = paths.length - split.train.length - split.val.length - split.test.length;
      if (lost > 0) {
        throw new InvalidArgumentError(
          '--output-base-dir',
          `${lost} of ${paths.length} clips would be in no list: expected <dataset>/<scene>/<action>/videos/<stem>.mp4 below it, found e.g. ${paths[0]}; give the folder above the data root`,
        );
      }
      const folder = flags.outputDir ?? join('dataset_files', flags.outputName ?? flags.datasetType);
      const files = await writeSplit(folder, split, invalid);
      if (invalid.length > 0) {
        reporter.warn(`${invalid.length} of ${videos.length} clips lack something; see ${files.at(-1)}`);
      }
      const counts = { train: split.train.length, val: split.val.length, test: split.test.length };
      reporter.result(
        { ...counts, invalid: invalid.length, files },
        `${folder}: ${counts.train} to train on, ${counts.val} to validate with, ${counts.test} to test on`,
      );
    });
  shared(dataset.command('check'))
    .description('name the clips that lack a file')
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      const { valid, invalid } = await checkSamples(await videosOf(flags), flags.requiredSubdirs);
      for (const { video, missing } of invalid) reporter.warn(`${video}: no file in ${missing.join(', ')}`);
      if (invalid.length > 0) {
        throw new DwmError(
          'incomplete-dataset',
          `${invalid.length} of ${invalid.length + valid.length} clips lack something`,
          {
            invalid,
          },
        );
      }
      reporter.result({ valid: valid.length }, `${valid.length} clips, all whole`);
    });
}

async function videosOf({ dataRoot, datasetType }: Flags): Promise<string[]> {
  const videos = await findVideos(dataRoot, datasetType);
  if (videos.length > 0) return videos;
  const layout = datasetType === 'trumans' ? '<scene>/<action>' : 'DoubleHand/<scene>';
  throw new InvalidArgumentError(
    '--data-root',
    `${dataRoot} has no clips; expected ${layout}/videos/<stem>.mp4`,
  );
}
