/** The experiment file of a training, with overrides from the command line, and where it leads on this machine. */
import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { type ExperimentConfig, parseExperiment } from '@dwm/dwm-model/node';
import { modelFolder } from '../hub-folder.ts';
import { tellIgnored } from '../ignored.ts';
import type { Reporter } from '../report.ts';
import { readYamlFile } from '../yaml-file.ts';

/** The original's ways of running, each with a folder name of its own. */
export const MODES = ['debug', 'slurm_test', 'slurm', 'batch'] as const;
export type Mode = (typeof MODES)[number];

/**
 * Its output folder is the experiment's own, `<output_dir>/<name>`, and `_<mode>` where a mode is given. Relative paths
 * start at the working directory, those of lists else at the data root.
 * @param overrides `section.key=value`, the value as YAML.
 * @throws InvalidFileError naming file and key; InvalidArgumentError for an override of no such form.
 */
export async function readTrainingExperiment(
  file: string,
  overrides: readonly string[],
  reporter: Reporter,
  { mode, followLinks }: { readonly mode?: Mode; readonly followLinks?: boolean } = {},
): Promise<ExperimentConfig> {
  const yaml = await readYamlFile(file, overrides);
  // A key that does not exist, from the file or an override, is refused by name.
  const config = parseExperiment(yaml, file);
  tellIgnored(yaml, reporter);
  if (/wandb|all/.test(String(config.logging.report_to ?? ''))) {
    reporter.warn(
      'logging.report_to: nothing is written for wandb; TensorBoard reads the logs/ of the output folder',
    );
  }
  const { data, experiment } = config;
  const find = async (path: string) => {
    const below = join(data.data_root, path);
    return !isAbsolute(path) && !(await isFile(path)) && (await isFile(below)) ? below : path;
  };
  const name = experiment.name + (mode ? `_${modeSuffix(mode)}` : '');
  return {
    ...config,
    experiment: { ...experiment, output_dir: join(experiment.output_dir, name) },
    model: {
      ...config.model,
      base_model_name_or_path: await modelFolder(config.model.base_model_name_or_path),
    },
    data: {
      ...data,
      follow_links: followLinks ?? data.follow_links,
      dataset_file: await Promise.all(
        data.dataset_file.map(async (list) => ({ ...list, path: await find(list.path) })),
      ),
      validation_set: await Promise.all(data.validation_set.map(find)),
    },
  };
}

const isFile = async (path: string) => (await stat(path).catch(() => undefined))?.isFile() ?? false;

function modeSuffix(mode: Mode): string {
  if (mode === 'slurm') return `slurm_${process.env.SLURM_JOB_ID ?? 'unknown'}`;
  if (mode !== 'batch') return mode;
  const now = new Date();
  const two = (n: number) => String(n).padStart(2, '0');
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const time = `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  return `batch_${process.env.BATCH_TIMESTAMP ?? `${date}_${time}`}`;
}
