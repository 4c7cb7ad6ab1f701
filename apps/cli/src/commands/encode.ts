/** `dwm encode`: latents and prompt embeddings of a dataset, ahead of training. */
import { join, relative } from 'node:path';
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { familyOf } from '@dwm/dwm-model';
import {
  allSamples,
  type EncodeJob,
  encodeFiles,
  jobsOfFolders,
  jobsOfSamples,
  LAYOUTS,
  type Layout,
  MODALITIES,
  type Modality,
  readDataset,
  readDatasets,
  shardJobs,
  trainingOf,
  trainingSize,
  writeFailures,
} from '@dwm/dwm-model/node';
import { type Command, Option } from 'commander';
import { openModel } from '../generate/check.ts';
import { modelFolder } from '../hub-folder.ts';
import { interruptible } from '../interrupt.ts';
import { isRemote } from '../remote/remote-root.ts';
import { clock, createReporter, type Reporter, size } from '../report.ts';
import { ClipReader } from '../train/clip-reader.ts';
import { readTrainingExperiment } from '../train/experiment.ts';
import { type WorkerFlags, workerFrom, workerOption } from '../work/claim.ts';
import { inSteps, integer } from './options.ts';

interface Flags extends WorkerFlags {
  override?: string[];
  datasetType?: Layout;
  dataRoot?: string;
  modalities?: Modality[];
  promptSubdir: string;
  model?: string;
  modelId?: string;
  maxNumFrames?: number;
  format?: 'safetensors' | 'pt';
  rank: number;
  worldSize: number;
  overwrite?: true;
  debug?: true;
  followLinks?: true;
  errorDir: string;
}

/** Whose VAE and text encoder the original's script takes. */
const ORIGINAL_MODEL = 'THUDM/CogVideoX-5b';

/** What to encode, with which model. */
interface Asked {
  readonly jobs: EncodeJob[];
  readonly model: string;
  readonly frames: number;
  readonly size?: { readonly height: number; readonly width: number };
  readonly roots: readonly string[];
  /** What files of failures are called by. */
  readonly name: string;
}

export function addEncode(program: Command): void {
  program
    .command('encode')
    .argument('[config]', 'experiment file, .yaml: the clips of its lists')
    .option('--override <key=value...>', 'change a value of the file, e.g. data.data_root=/data')
    .addOption(
      new Option(
        '--dataset-type <type>',
        'in place of a file: every clip in the folders of --data-root',
      ).choices(LAYOUTS),
    )
    .option('--data-root <dir>', 'folder with <scene>/<action>/videos (trumans) or DoubleHand/<scene>/videos')
    .addOption(new Option('--modalities <kinds...>', 'what to encode; all if left out').choices(MODALITIES))
    .option('--prompt-subdir <name>', 'folder of captions, with --dataset-type', 'prompts_rewrite')
    .option('--model <dir>', 'folder of the model, with --dataset-type')
    .option('--model-id <id>', `the same by its hub id: a folder that dwm download made (${ORIGINAL_MODEL})`)
    .option(
      '--max-num-frames <n>',
      'frames of a clip, with --dataset-type (49)',
      inSteps(1, 4, '4k + 1 frames'),
    )
    .addOption(
      new Option(
        '--format <format>',
        "ours, or the original's; with --dataset-type the latter if left out",
      ).choices(['safetensors', 'pt']),
    )
    .option('--rank <r>', 'this process of --world-size', integer(0), 0)
    .option('--world-size <n>', 'deal the files out to n processes', integer(1), 1)
    .addOption(workerOption())
    .option('--skip-existing', 'leave files alone that are there already; so it is without --overwrite')
    .option('--overwrite', 'encode what is there already too')
    .option('--follow-links', 'let links of the data root lead out of it')
    .option('--debug', 'only the first file of each kind')
    .option(
      '--error-dir <dir>',
      'where lists of files go that could not be encoded',
      'out/encode_cogvideox_errors',
    )
    .addHelpText(
      'after',
      `
Clips are taken as they are, max_num_frames of their frames from first to last; of captions the first line. Files go
beside the clips (video_latents/ …). For a Wan model every frame is taken, latents are drawn once, and the folders of
--dataset-type end in _wan; fun_inp_i2v_latents_wan/ holds clips of which only the first frame is seen. A stopped run
goes on where it was; of our format, changed clips are encoded anew.
Examples:
  dwm encode dwm.yaml --override data.data_root=/data
  dwm encode --dataset-type trumans --data-root data/trumans --modalities videos prompts --model base`,
    )
    .action(async (file: string | undefined, flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      if (flags.rank >= flags.worldSize) {
        throw new InvalidArgumentError(
          '--rank',
          `expected 0 to ${flags.worldSize - 1}, got ${flags.rank}; ranks count from 0`,
        );
      }
      const asked =
        file === undefined ? await askedOfFolders(flags) : await askedOfExperiment(file, flags, reporter);
      let jobs = shardJobs(asked.jobs, flags.rank, flags.worldSize);
      if (flags.debug)
        jobs = MODALITIES.flatMap((kind) => jobs.filter(({ modality }) => modality === kind).slice(0, 1));
      const format = flags.format ?? (file === undefined ? 'pt' : 'safetensors');
      const cut = flags.worldSize > 1 ? '--world-size' : undefined;
      const worker = workerFrom(flags, asked.roots[0], 'encode', reporter, [cut]);
      if (worker && flags.overwrite)
        throw new InvalidArgumentError(
          '--overwrite',
          'makes files anew that another process has just made; leave it out with --worker',
        );
      let fresh = 0;
      let since: number | undefined;
      const clips = new ClipReader((line) => reporter.say(line));
      const result = await interruptible((signal) =>
        encodeFiles({
          ...asked,
          jobs,
          ...(flags.worldSize > 1 && { share: `encode-${flags.rank}-of-${flags.worldSize}` }),
          format,
          ...(worker && {
            each: (isDone, encode) => {
              const items = jobs.map((job) => {
                const name = `${job.target}.${format}`;
                return { job, name, file: relative(asked.roots[0], name) };
              });
              const work = () =>
                worker.each({
                  items,
                  signal,
                  isDone: ({ job }) => isDone(job),
                  open: async () => undefined,
                  work: ({ job }) => encode(job),
                });
              return worker.beside(work);
            },
          }),
          overwrite: flags.overwrite,
          signal,
          openDevice: () => openNodeDevice(),
          readClip: (path, choose) => {
            since ??= performance.now();
            return clips.read(path, choose);
          },
          warn: (text) => reporter.warn(text),
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
      const { failures, written, total } = result;
      const lists = await writeFailures(failures, (kind) =>
        join(flags.errorDir, `encode_${asked.name}_${kind}_rank${flags.rank}.json`),
      );
      for (const { source, reason } of failures)
        reporter.warn(reason.includes(source) ? reason : `${source}: ${reason}`);
      const there = total - written - failures.length;
      const text = worker
        ? `${written} files encoded here, of ${total}`
        : `${written} files encoded, ${there} were there already`;
      if (failures.length > 0) {
        throw new DwmError(
          'encode-failed',
          `${text}, ${failures.length} could not be encoded; they are listed in ${lists.join(', ')}`,
          {
            ...result,
            lists,
          },
        );
      }
      reporter.result({ written, total }, text);
    });
}

async function askedOfFolders(flags: Flags): Promise<Asked> {
  const { datasetType, dataRoot } = flags;
  const model = flags.model ?? flags.modelId ?? ORIGINAL_MODEL;
  for (const [name, value] of [
    ['--dataset-type', datasetType],
    ['--data-root', dataRoot],
  ]) {
    if (value === undefined)
      throw new InvalidArgumentError(name!, 'is required, unless an experiment file is given');
  }
  const folder = await modelFolder(model);
  const training = trainingOf(await familyOf(await openModel(folder)), folder);
  const kinds = flags.modalities ?? MODALITIES;
  const jobs = await jobsOfFolders(
    dataRoot!,
    datasetType!,
    kinds,
    flags.promptSubdir,
    training,
    flags.followLinks,
  );
  if (jobs.length === 0) {
    throw new InvalidArgumentError(
      '--data-root',
      `${dataRoot} has nothing to encode; expected ${datasetType === 'trumans' ? '<scene>/<action>' : 'DoubleHand/<scene>'}/videos/<stem>.mp4 and its like`,
    );
  }
  const frames = flags.maxNumFrames ?? 49;
  return { jobs, model: folder, frames, roots: [dataRoot!], name: datasetType! };
}

async function askedOfExperiment(file: string, flags: Flags, reporter: Reporter): Promise<Asked> {
  const config = await readTrainingExperiment(file, flags.override ?? [], reporter, flags);
  const { data, model } = config;
  const remote = [data.data_root, ...data.dataset_file.map(({ root }) => root)].find(
    (root) => root !== undefined && isRemote(root),
  );
  if (remote !== undefined)
    throw new InvalidArgumentError(
      'data.data_root',
      `${remote} can only be read, and encoded files go beside the clips; encode in a folder, then copy it there`,
    );
  const { datasets, matched } = await readDatasets(data);
  const samples = allSamples(datasets, matched);
  for (const path of data.validation_set) samples.push(...(await readDataset(path, data)));
  const folder = await openModel(model.base_model_name_or_path, 'model.base_model_name_or_path');
  const withText = await (await familyOf(folder)).hasText(folder);
  const kinds = flags.modalities ?? MODALITIES.filter((kind) => kind !== 'prompts' || withText);
  const { frames, height, width } = trainingSize(config);
  return {
    jobs: jobsOfSamples(samples, kinds),
    model: model.base_model_name_or_path,
    frames,
    size: { height, width },
    roots: [
      data.data_root,
      ...data.dataset_file.flatMap(({ root, matched }) =>
        [{ root }, ...matched].flatMap((list) => list.root ?? []),
      ),
    ],
    name: config.experiment.name,
  };
}
