/** What inference takes from the original's experiment YAML: the base model, the data root and LoRA's alpha. */
import { InvalidArgumentError, InvalidFileError, isObject, quote } from '@dwm/core-tensor';
import { readYamlFile } from '../yaml-file.ts';

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
  const yaml = await readYamlFile(file, overrides, KEYS);
  if (!isObject(yaml))
    throw new InvalidFileError(file, 'expected sections with keys, as model: and training:');
  const get = <T extends 'string' | 'number'>(path: string, type: T) => {
    const [section, key] = path.split('.');
    const part = yaml[section] ?? {};
    const value = isObject(part) ? part[key] : part;
    if (value === undefined || value === null) return undefined;
    if (typeof value !== type)
      throw new InvalidFileError(file, `${path}: expected a ${type}, got ${quote(value)}`, { field: path });
    return value as T extends 'string' ? string : number;
  };
  return {
    baseModel: get('model.base_model_name_or_path', 'string'),
    dataRoot: get('data.data_root', 'string'),
    loraAlpha: get('training.lora_alpha', 'number'),
  };
}
