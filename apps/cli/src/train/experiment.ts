/** The experiment file of a training, with overrides from the command line. */
import { type ExperimentConfig, parseExperiment } from '@dwm/dwm-model/node';
import { readYamlFile } from '../yaml-file.ts';

/**
 * @param overrides `section.key=value`, the value as YAML.
 * @throws InvalidFileError naming file and key; InvalidArgumentError for an override of no such form.
 */
export async function readTrainingExperiment(
  file: string,
  overrides: readonly string[],
): Promise<ExperimentConfig> {
  // A key that does not exist, from the file or an override, is refused by name.
  return parseExperiment(await readYamlFile(file, overrides), file);
}
