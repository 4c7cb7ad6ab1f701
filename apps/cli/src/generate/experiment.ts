/** What inference takes from the original's experiment YAML: the base model, the data root and LoRA's alpha. */
import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { parse, parseDocument, YAMLParseError } from 'yaml';

export interface Experiment {
  readonly baseModel?: string;
  readonly dataRoot?: string;
  readonly loraAlpha?: number;
}

const KEYS = ['model.base_model_name_or_path', 'data.data_root', 'training.lora_alpha'];

/** @throws InvalidFileError or InvalidArgumentError naming the key, or the override, that cannot be used. */
export async function readExperiment(
  file: string | undefined,
  overrides: readonly string[],
): Promise<Experiment> {
  if (!file) {
    if (overrides.length > 0) throw new InvalidArgumentError('override', 'needs --experiment-config');
    return {};
  }
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new InvalidFileError(file, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem instanceof YAMLParseError) {
    throw new InvalidFileError(file, `not valid YAML: ${problem.message.split('\n')[0]}`);
  }
  for (const override of overrides) {
    const at = override.indexOf('=');
    const path = override.slice(0, at).split('.');
    if (at < 1 || path.includes('')) {
      throw new InvalidArgumentError('override', `expected section.key=value, got "${override}"`);
    }
    // A misspelt key would otherwise change nothing and say nothing.
    if (!KEYS.includes(path.join('.')) && !document.hasIn(path)) {
      throw new InvalidArgumentError(
        'override',
        `${file} has no ${path.join('.')}; inference reads ${KEYS.join(', ')}`,
      );
    }
    try {
      document.setIn(path, parse(override.slice(at + 1)));
    } catch (error) {
      const [reason] = (error as Error).message.split('\n');
      throw new InvalidArgumentError('override', `"${override}" cannot be set in ${file}: ${reason}`);
    }
  }
  const get = <T extends 'string' | 'number'>(path: string, type: T) => {
    const value: unknown = document.getIn(path.split('.'));
    if (value === undefined || value === null) return undefined;
    if (typeof value !== type)
      throw new InvalidFileError(file, `${path}: expected a ${type}`, { field: path });
    return value as T extends 'string' ? string : number;
  };
  return {
    baseModel: get('model.base_model_name_or_path', 'string'),
    dataRoot: get('data.data_root', 'string'),
    loraAlpha: get('training.lora_alpha', 'number'),
  };
}
