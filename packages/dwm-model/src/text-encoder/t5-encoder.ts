/** The text encoder of a model folder, from token ids to the embeddings that the transformer reads. */
import {
  compile,
  type Device,
  type DeviceTensor,
  InvalidArgumentError,
  type Precision,
  type Program,
  spec,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import type { Checkpoint, ModelFolder } from '@dwm/core-tensor/files';
import { readJson } from '../weights/config.ts';
import { loadParameters, type Parameters } from '../weights/parameters.ts';
import { readT5Config, type T5Config } from './config.ts';
import { openEncoder } from './llama-names.ts';
import { t5Encoder, t5Parameters, tokenTables } from './network.ts';

/** One row each, or all in one array. */
export type TokenRows = Uint32Array | readonly ArrayLike<number>[];

/** What prompts are encoded with. */
export interface T5EncodeOptions {
  /** 1 for tokens that are attended to, 0 for others, [batch, tokens]. By default all are, padding too. */
  readonly mask?: TokenRows;
  readonly precision?: Precision;
}

/** The encoder of T5 v1.1. */
export class T5Encoder {
  readonly config: T5Config;
  readonly parameters: Parameters;
  readonly #device: Device;
  readonly #programs = new Map<string, Program<Record<string, TensorSpec>, { out: Tensor }>>();

  constructor(device: Device, config: T5Config, parameters: Parameters) {
    this.#device = device;
    this.config = config;
    this.parameters = parameters;
  }

  /**
   * Loads `config.json` and `model.safetensors`, or its shards, of a text encoder's folder.
   * Weights stay on the device as the file has them: f32, f16 or bf16.
   * @throws InvalidFileError naming file and field, before any weight is read.
   */
  static async load(
    device: Device,
    folder: ModelFolder,
    options: { readonly onProgress?: (doneBytes: number, totalBytes: number) => void } = {},
  ): Promise<T5Encoder> {
    const { json, file } = await readJson(folder, 'config.json');
    const config = readT5Config(json, file);
    const checkpoint = await openEncoder(folder, 'model');
    try {
      return await T5Encoder.fromCheckpoint(device, config, checkpoint, options);
    } finally {
      await checkpoint.close();
    }
  }

  /** @throws InvalidFileError naming the tensor that is missing or of another shape, before any weight is read. */
  static async fromCheckpoint(
    device: Device,
    config: T5Config,
    checkpoint: Checkpoint,
    options: { readonly onProgress?: (doneBytes: number, totalBytes: number) => void } = {},
  ): Promise<T5Encoder> {
    const tables = tokenTables(config);
    const specs = t5Parameters(
      config,
      tables.find((name) => checkpoint.tensors.has(name)),
    );
    const ignore = (name: string) => tables.includes(name);
    return new T5Encoder(
      device,
      config,
      await loadParameters(device, checkpoint, specs, { ...options, ignore }),
    );
  }

  /**
   * @param ids token ids, [batch, tokens]: one row each, or all in one array.
   * @returns [batch, tokens, width] in f32, the caller's to destroy.
   * @throws InvalidArgumentError for ids outside the vocabulary, or rows that are not of `shape`.
   */
  async encode(
    ids: TokenRows,
    shape: readonly [batch: number, tokens: number],
    { mask, precision = 'f32' }: T5EncodeOptions = {},
  ): Promise<DeviceTensor> {
    const flatIds = flatten('ids', ids, shape);
    checkIds(this.config, flatIds);
    const program = await this.#program(shape, mask !== undefined, precision);
    const { out } = await program.run({ ids: flatIds, ...(mask && { mask: flatten('mask', mask, shape) }) });
    return out.clone('text embeddings');
  }

  /** Frees weights and programs; embeddings that were handed out stay. */
  destroy(): void {
    for (const program of this.#programs.values()) program.destroy();
    this.#programs.clear();
    this.parameters.destroy();
  }

  async #program(shape: readonly number[], masked: boolean, precision: Precision) {
    const key = `${shape} ${masked} ${precision}`;
    let program = this.#programs.get(key);
    if (!program) {
      const tokens = spec(shape, 'u32');
      const inputs: Record<string, TensorSpec> = masked ? { ids: tokens, mask: tokens } : { ids: tokens };
      program = await compile(
        this.#device,
        inputs,
        ({ ids, mask }) => ({ out: t5Encoder(this.config, this.parameters, ids, mask).out }),
        precision,
      );
      this.#programs.set(key, program);
    }
    return program;
  }
}

/** @throws InvalidArgumentError for a token outside the vocabulary. */
export function checkIds({ vocabulary }: T5Config, ids: Uint32Array): void {
  const outside = ids.find((id) => id >= vocabulary);
  if (outside === undefined) return;
  throw new InvalidArgumentError(
    'ids',
    `token ${outside | 0} is outside this text encoder's ${vocabulary}; is it the tokenizer of another model?`,
    { expected: vocabulary, actual: outside },
  );
}

/** @throws InvalidArgumentError for rows that are not of the shape. */
export function flatten(field: string, rows: TokenRows, [batch, tokens]: readonly number[]): Uint32Array {
  const fits =
    rows instanceof Uint32Array
      ? rows.length === batch * tokens
      : rows.length === batch && rows.every((row) => row.length === tokens);
  if (!fits) throw new InvalidArgumentError(field, `expected ${batch} rows of ${tokens} values`);
  return rows instanceof Uint32Array ? rows : Uint32Array.from(rows.flatMap((row) => Array.from(row)));
}
