/** `dwm dataset split|check|export`: lists to train, validate and test with, what clips lack, other formats. */
import { basename, dirname, extname, join } from 'node:path';
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { withOutput } from '@dwm/core-tensor/node';
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
import { exists } from '../generate/files.ts';
import { readPrompt } from '../generate/inputs.ts';
import { type Job, readDatasetList } from '../generate/jobs.ts';
import { interruptible } from '../interrupt.ts';
import { isLerobot } from '../lerobot/dataset.ts';
import { type ClipToExport, checkAlike, exportLerobot } from '../lerobot/export.ts';
import { readTrajectory } from '../render/files.ts';
import { createReporter, type Reporter } from '../report.ts';
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
  addExport(program, dataset);
}

interface ExportFlags {
  dataRoot: string;
  datasetFile: string;
  out: string;
  promptSubdir: string;
  limit?: number;
  followLinks?: true;
}

function addExport(program: Command, dataset: Command): void {
  dataset
    .command('export')
    .description('clips, their hands and captions as a data set of LeRobot v3.0')
    .requiredOption('--data-root <dir>', 'folder that the list is relative to')
    .requiredOption('--dataset-file <file>', 'list of <sample>/videos/<stem>.mp4, one a line')
    .requiredOption('--out <dir>', 'folder of the data set, which is not there yet')
    .option('--prompt-subdir <name>', 'folder of captions beside videos/', 'prompts_rewrite')
    .option('--limit <n>', 'only the first n clips', integer(1))
    .option('--follow-links', 'let links of the data root lead out of it')
    .addHelpText(
      'after',
      '\nExample:\n  dwm dataset export --data-root samples --dataset-file samples/dataset.txt --out hands-lerobot',
    )
    .action(async (flags: ExportFlags) => {
      const reporter = createReporter(program.opts().json === true);
      await interruptible((signal) =>
        withOutput(flags.out, {}, async () => {
          if (await isLerobot(flags.out))
            throw new InvalidArgumentError('out', `${flags.out} is a data set already; name another folder`);
          const jobs = await readDatasetList(flags.datasetFile, {
            ...flags,
            layout: 'per_sample',
            maxSamples: flags.limit,
          });
          const clips = await Promise.all(jobs.map((job) => clipOf(job, reporter)));
          checkAlike(clips);
          if (!clips[0].trajectory)
            reporter.say(
              'no clip has a trajectory beside it, so the data set has videos and no joints of hands',
            );
          const onClip = (done: number) =>
            reporter.progress(`clip ${done} of ${clips.length}`, done === clips.length);
          const frames = await exportLerobot(clips, flags.out, onClip, signal);
          reporter.result(
            { folder: flags.out, episodes: clips.length, frames },
            `${flags.out}: ${clips.length} episodes, ${frames} frames, LeRobot v3.0`,
          );
        }),
      );
    });
}

/** A clip of a list, with what lies beside it: `dwm prepare` and `dwm synth` put trajectories into two places. */
async function clipOf(
  { truth, staticVideo, handVideo, promptFile }: Job,
  reporter: Reporter,
): Promise<ClipToExport> {
  const video = truth!;
  const sample = dirname(dirname(video));
  const name = basename(video, extname(video));
  const places = [join(sample, 'trajectories', `${name}.json`), join(sample, `${name}_trajectory.json`)];
  const there = await Promise.all([staticVideo, handVideo, promptFile!, ...places].map(exists));
  const [hasStatic, hasHands, hasCaption] = there;
  const file = places.find((_, i) => there[3 + i]);
  if (!hasCaption) reporter.warn(`${video} has no caption ${promptFile}: its task is empty`);
  return {
    videos: {
      interaction: video,
      ...(hasStatic && { static: staticVideo }),
      ...(hasHands && { hands: handVideo }),
    },
    task: hasCaption ? await readPrompt(promptFile!) : '',
    ...(file && { trajectory: { file, read: () => readTrajectory(file, {}, reporter) } }),
  };
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
