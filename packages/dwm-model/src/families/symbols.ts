/** Weights that are names and shapes only, for plans. */
import {
  type DeviceTensor,
  type DType,
  InvalidArgumentError,
  input,
  isPacked,
  type KernelTarget,
  type Plan,
  type Precision,
  planProgram,
  spec,
  type Tensor,
  type TensorSpec,
  trace,
} from '@dwm/core-tensor';
import { checkpointFiles, type ModelFolder, openCheckpoint, subfolder } from '@dwm/core-tensor/files';
import { readT5Config, type T5Config } from '../text-encoder/config.ts';
import { openEncoder } from '../text-encoder/llama-names.ts';
import { isT5Outer, t5BlockPrefix, t5Encoder, t5Parameters, tokenTables } from '../text-encoder/network.ts';
import { specBytes } from '../weights/block-stream.ts';
import { readJson } from '../weights/config.ts';
import { ownShape } from '../weights/input-channels.ts';
import {
  checkEntry,
  deviceShape,
  type ParameterSpec,
  Parameters,
  type StoredAs,
} from '../weights/parameters.ts';
import { GROUP_SIZE, type QuantizedDtype, quantizedAs, scaleName, withScales } from '../weights/quantized.ts';
import type { ModelShapes, StackShapes } from './family.ts';

/** All in one dtype. */
export const allIn =
  (dtype: DType): StoredAs =>
  (specs) =>
    Object.fromEntries(Object.entries(specs).map(([name, own]) => [name, spec(deviceShape(own), dtype)]));

/**
 * As a checkpoint's headers have them; bf16, as models are published, where there is no file.
 * @param own `stored`: the file's name of a weight, where it is another than the network's; `open`: where files have
 *   names that need one of their own; `isOptional`: whether a file may be without a weight, which is bf16 then.
 * @throws InvalidFileError for a damaged header; what it returns, for weights that do not fit the network.
 */
export async function storedAs(
  folder: ModelFolder,
  base: string,
  own: {
    readonly stored?: (name: string) => string;
    readonly open?: typeof openCheckpoint;
    readonly isOptional?: (name: string) => boolean;
  } = {},
): Promise<StoredAs> {
  const { stored, open = openCheckpoint, isOptional = () => false } = own;
  if ((await checkpointFiles(folder, base)).found.length === 0) return allIn('bf16');
  const checkpoint = await open(folder, base);
  await checkpoint.close();
  return (given) => {
    const { specs, stored: named = (name: string) => name } = withScales({
      ...{ checkpoint, specs: given },
      ...(stored && { stored }),
    });
    const dtypeOf = (name: string, { shape, order }: ParameterSpec): DType => {
      const entry = checkpoint.tensors.get(named(name));
      if (!entry && isOptional(name)) return 'bf16';
      const dtype = checkEntry(checkpoint, named(name), entry ? ownShape(entry.shape, shape) : shape);
      return order && isPacked(dtype) ? 'f32' : dtype;
    };
    return Object.fromEntries(
      Object.entries(specs).map(([name, own]) => [name, spec(deviceShape(own), dtypeOf(name, own))]),
    );
  };
}

/** As `dwm quantize` would leave what is stored as floats. */
export const quantized =
  (stored: StoredAs, dtype: QuantizedDtype | undefined): StoredAs =>
  (specs) => {
    const found = stored(specs);
    if (dtype === undefined) return found;
    const made: Record<string, TensorSpec> = {};
    for (const [name, own] of Object.entries(found)) {
      const becomes = quantizedAs(name, own.shape, dtype);
      const [n, k] = own.shape;
      made[name] = becomes ? spec(own.shape, becomes === 'int4' ? 'i4' : 'i8') : own;
      if (becomes)
        made[scaleName(name)] = becomes === 'int4' ? spec([n, k / GROUP_SIZE], 'f16') : spec([n, 1]);
    }
    return made;
  };

export class Symbols extends Parameters {
  readonly #specs: Readonly<Record<string, TensorSpec>>;

  constructor(specs: Readonly<Record<string, TensorSpec>>) {
    super(new Map());
    this.#specs = specs;
  }

  /** Their names, shapes and dtypes: there are no values. */
  override get tensors(): ReadonlyMap<string, DeviceTensor> {
    return new Map(Object.entries(this.#specs)) as ReadonlyMap<string, TensorSpec> as ReadonlyMap<
      string,
      DeviceTensor
    >;
  }

  override get(name: string): Tensor {
    const own = this.#specs[name];
    if (!own) throw new InvalidArgumentError('name', `there is no parameter ${name}`);
    return input(name, own);
  }

  /** Bytes that they take on a device. */
  override get bytes(): number {
    return specBytes(this.#specs);
  }

  override has(name: string): boolean {
    return name in this.#specs;
  }
}

/** @param outer names of weights that belong to no block although they begin like one. */
export function stackShapes(
  specs: Readonly<Record<string, TensorSpec>>,
  blocks: number,
  prefix: (index: number) => string,
  outer: (name: string) => boolean = () => false,
): StackShapes {
  const starts = Array.from({ length: blocks }, (_, i) => prefix(i));
  const outside: Record<string, TensorSpec> = {};
  const inside = starts.map((): Record<string, TensorSpec> => ({}));
  for (const [name, own] of Object.entries(specs)) {
    const block = outer(name) ? -1 : starts.findIndex((start) => name.startsWith(start));
    if (block < 0) outside[name] = own;
    else inside[block][name.slice(starts[block].length)] = own;
  }
  return {
    outerBytes: specBytes(outside),
    blocks,
    block: inside[blocks - 1],
    blockBytes: Math.max(...inside.map(specBytes)),
  };
}

export const textStack = (config: T5Config, stored: StoredAs) => ({
  ...{ config, stored },
  shapes: stackShapes(
    stored(t5Parameters(config)),
    config.blocks,
    (i) => t5BlockPrefix(config, i),
    (name) => isT5Outer(config, name),
  ),
});

/** Plans a text encoder of one block: all have the same shapes. @param ids [batch, tokens]. */
export function planTextBlock(
  { config, stored }: Pick<NonNullable<ModelShapes['text']>, 'config' | 'stored'>,
  ids: readonly [batch: number, tokens: number],
  device: KernelTarget,
  precision: Precision,
): Plan {
  const one = { ...config, blocks: 1 };
  const weights = new Symbols(stored(t5Parameters(one)));
  const graph = trace({ ids: spec(ids, 'u32') }, (given) => ({
    out: t5Encoder(one, weights, given.ids).out,
  }));
  return planProgram(graph, device, precision);
}

/** Of a text encoder in diffusers' layout, where there is one, as it is or quantized. */
export async function textShapes(
  folder: ModelFolder,
): Promise<(dtype?: QuantizedDtype) => Pick<ModelShapes, 'text'>> {
  if (!(await folder.exists('text_encoder/config.json'))) return () => ({});
  const { json, file } = await readJson(folder, 'text_encoder/config.json');
  const config = readT5Config(json, file);
  const tables = tokenTables(config);
  const stored = await storedAs(subfolder(folder, 'text_encoder'), 'model', {
    open: openEncoder,
    isOptional: (name) => tables.includes(name),
  });
  return (dtype) => ({ text: textStack(config, quantized(stored, dtype)) });
}

/** A model's shapes, with those that it has once it is quantized, if it is not yet. */
export function quantizable(make: (dtype?: QuantizedDtype) => ModelShapes): ModelShapes {
  const shapes = make();
  return isQuantizedStack(shapes.stacked().shapes) ? shapes : { ...shapes, quantized: make };
}

/** Of all weights of a stack. */
export const stackBytes = ({ outerBytes, blocks, blockBytes }: StackShapes): number =>
  outerBytes + blocks * blockBytes;

/** Whether weights of the blocks are quantized. */
export const isQuantizedStack = ({ block }: StackShapes): boolean =>
  Object.values(block).some(({ dtype }) => isPacked(dtype));
