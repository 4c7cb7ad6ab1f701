/** The experiment file of a training, with overrides from the command line. */
import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { type ExperimentConfig, parseExperiment } from '@dwm/dwm-model/node';
import { parse, parseDocument } from 'yaml';

/**
 * @param overrides `section.key=value`, the value as YAML.
 * @throws InvalidFileError naming file and key; InvalidArgumentError for an override of no such form.
 */
export async function readTrainingExperiment(
  file: string,
  overrides: readonly string[],
): Promise<ExperimentConfig> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new InvalidFileError(file, `cannot be read (${error.code})`);
  });
  const document = parseDocument(text);
  if (document.errors.length > 0) {
    throw new InvalidFileError(file, `not valid YAML: ${document.errors[0].message.split('\n')[0]}`);
  }
  for (const override of overrides) {
    const at = override.indexOf('=');
    const path = override.slice(0, at).split('.');
    if (at < 1 || path.length < 2 || path.includes('')) {
      throw new InvalidArgumentError('override', `expected section.key=value, got "${override}"`);
    }
    try {
      document.setIn(path, parse(override.slice(at + 1)));
    } catch (error) {
      const [reason] = (error as Error).message.split('\n');
      throw new InvalidArgumentError('override', `"${override}" cannot be set in ${file}: ${reason}`);
    }
  }
  // A key that does not exist, from the file or an override, is refused by name.
  return parseExperiment(document.toJS(), file);
}
