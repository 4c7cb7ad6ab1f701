/** Weights that are names and shapes only, for plans. */
import {
  type DType,
  InvalidFileError,
  input,
  type ModelFolder,
  openCheckpoint,
  type SafetensorsDtype,
  spec,
  subfolder,
  type Tensor,
} from '@dwm/core-tensor';
import { readT5Config } from '../text-encoder/config.ts';
import { readJson } from '../weights/config.ts';
import { type ParameterSpecs, Parameters } from '../weights/parameters.ts';
import type { ModelShapes } from './family.ts';

export class Symbols extends Parameters {
  readonly #specs: ParameterSpecs;
  readonly #dtype: DType;

  constructor(specs: ParameterSpecs, dtype: DType) {
    super(new Map());
    this.#specs = specs;
    this.#dtype = dtype;
  }

  override get(name: string): Tensor {
    const { shape, order } = this.#specs[name] ?? {};
    if (!shape) throw new Error(`no parameter ${name}`);
    return input(name, spec(order ? order.map((d) => shape[d]) : shape, this.#dtype));
  }

  override has(name: string): boolean {
    return name in this.#specs;
  }
}

const DTYPES: Partial<Record<SafetensorsDtype, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** The dtype of a checkpoint's first tensor; bf16, as models are published, where there is no checkpoint. */
export async function dtypeOf(folder: ModelFolder, base: string): Promise<DType> {
  let checkpoint: Awaited<ReturnType<typeof openCheckpoint>>;
  try {
    checkpoint = await openCheckpoint(folder, base);
  } catch (error) {
    if (error instanceof InvalidFileError) return 'bf16';
    throw error;
  }
  try {
    const [first] = checkpoint.tensors.values();
    return (first && DTYPES[first.dtype]) ?? 'bf16';
  } finally {
    await checkpoint.close();
  }
}

/** Of a text encoder in diffusers' layout, where there is one. */
export async function textShapes(folder: ModelFolder): Promise<Pick<ModelShapes, 'text'>> {
  if (!(await folder.exists('text_encoder/config.json'))) return {};
  const { json, file } = await readJson(folder, 'text_encoder/config.json');
  const dtype = await dtypeOf(subfolder(folder, 'text_encoder'), 'model');
  return { text: { config: readT5Config(json, file), dtype } };
}
