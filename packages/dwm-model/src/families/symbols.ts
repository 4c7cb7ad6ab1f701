/** Weights that are names and shapes only, for plans. */
import {
  type DeviceCaps,
  type DType,
  InvalidArgumentError,
  InvalidFileError,
  input,
  type ModelFolder,
  openCheckpoint,
  type Plan,
  type Precision,
  planProgram,
  spec,
  subfolder,
  type Tensor,
  trace,
} from '@dwm/core-tensor';
import { readT5Config, type T5Config } from '../text-encoder/config.ts';
import { isT5Outer, t5BlockPrefix, t5Encoder, t5Parameters } from '../text-encoder/network.ts';
import { specBytes } from '../weights/block-stream.ts';
import { readJson } from '../weights/config.ts';
import { deviceShape, type ParameterSpecs, Parameters, storedDtype } from '../weights/parameters.ts';
import type { ModelShapes, StackShapes } from './family.ts';

export class Symbols extends Parameters {
  readonly #specs: ParameterSpecs;
  readonly #dtype: DType;

  constructor(specs: ParameterSpecs, dtype: DType) {
    super(new Map());
    this.#specs = specs;
    this.#dtype = dtype;
  }

  override get(name: string): Tensor {
    const own = this.#specs[name];
    if (!own) throw new InvalidArgumentError('name', `there is no parameter ${name}`);
    return input(name, spec(deviceShape(own), this.#dtype));
  }

  /** Bytes that they take on a device. */
  override get bytes(): number {
    const specs = Object.entries(this.#specs).map(([name, { shape }]) => [name, spec(shape, this.#dtype)]);
    return specBytes(Object.fromEntries(specs));
  }

  override has(name: string): boolean {
    return name in this.#specs;
  }
}

/** @param outer names of weights that belong to no block although they begin like one. */
export function stackShapes(
  specs: ParameterSpecs,
  dtypeOfName: (name: string) => DType,
  blocks: number,
  prefix: (index: number) => string,
  outer: (name: string) => boolean = () => false,
): StackShapes {
  const stored = Object.entries(specs).map(([name, own]) => {
    const block = outer(name)
      ? -1
      : Array.from({ length: blocks }, (_, i) => i).findIndex((i) => name.startsWith(prefix(i)));
    return { name, block, spec: spec(deviceShape(own), dtypeOfName(name)) };
  });
  const bytes = (of: typeof stored) =>
    specBytes(Object.fromEntries(of.map(({ name, spec: own }) => [name, own])));
  const ofBlock = (i: number) => stored.filter(({ block }) => block === i);
  return {
    outerBytes: bytes(ofBlock(-1)),
    blocks,
    block: Object.fromEntries(
      ofBlock(blocks - 1).map(({ name, spec: own }) => [name.slice(prefix(blocks - 1).length), own]),
    ),
    blockBytes: Math.max(...Array.from({ length: blocks }, (_, i) => bytes(ofBlock(i)))),
  };
}

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
    return (first && storedDtype(first.dtype)) ?? 'bf16';
  } finally {
    await checkpoint.close();
  }
}

export const textStack = (config: T5Config, dtype: DType) => ({
  ...{ config, dtype },
  shapes: stackShapes(
    t5Parameters(config),
    () => dtype,
    config.blocks,
    (i) => t5BlockPrefix(config, i),
    (name) => isT5Outer(config, name),
  ),
});

/** Plans a text encoder of one block: all have the same shapes. @param ids [batch, tokens]. */
export function planTextBlock(
  { config, dtype }: Pick<NonNullable<ModelShapes['text']>, 'config' | 'dtype'>,
  ids: readonly [batch: number, tokens: number],
  caps: DeviceCaps,
  precision: Precision,
): Plan {
  const one = { ...config, blocks: 1 };
  const weights = new Symbols(t5Parameters(one), dtype);
  const graph = trace({ ids: spec(ids, 'u32') }, (given) => ({
    out: t5Encoder(one, weights, given.ids).out,
  }));
  return planProgram(graph, caps, precision);
}

/** Of a text encoder in diffusers' layout, where there is one. */
export async function textShapes(folder: ModelFolder): Promise<Pick<ModelShapes, 'text'>> {
  if (!(await folder.exists('text_encoder/config.json'))) return {};
  const { json, file } = await readJson(folder, 'text_encoder/config.json');
  const dtype = await dtypeOf(subfolder(folder, 'text_encoder'), 'model');
  return { text: textStack(readT5Config(json, file), dtype) };
}
