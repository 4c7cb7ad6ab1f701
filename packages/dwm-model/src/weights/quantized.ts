/**
 * Quantized weights of a network: beside `X.weight` in whole numbers or floats of a byte are `X.weight_scale` and
 * perhaps `X.weight_offset`, one for each group of a row. Checkpoints have all layouts under these names.
 */
import {
  type DType,
  InvalidFileError,
  isPacked,
  linear,
  quantizedMatmul,
  type Tensor,
} from '@dwm/core-tensor';
import type { Checkpoint } from '@dwm/core-tensor/files';
import type { Weights } from './weights.ts';

const SCALE = '_scale';
const OFFSET = '_offset';

/** Matrices that are no linear layers: tables that rows are read of, and projections of patches. */
const NO_LINEAR =
  /(^|\.)(patch_embed\.proj|patch_embedding|shared|embed_tokens|token_embedding|position_embedding|relative_attention_bias|pos_embedding\.embedding)\.weight$/;

/** Whether a weight may be quantized, by its name and shape. */
export const isLinearWeight = (name: string, shape: readonly number[]): boolean =>
  shape.length === 2 && name.endsWith('.weight') && !NO_LINEAR.test(name);

/** The scales of a quantized weight, or nothing. */
export const scaleName = (name: string): string => name + SCALE;

/** What the weights of linear layers become. */
export type QuantizedDtype = 'int8' | 'int4';

/** Numbers of a row that share a scale in int4, unless told. */
export const GROUP_SIZE = 64;

/** Weights of blocks are most of a network, and the only ones of which a part may be lost. */
const IN_BLOCK = /(^|\.)(transformer_)?blocks?\.\d+\./;
/** Of these, 4 bits are too few: all rows of a block are shifted and scaled by what they make. */
const MODULATION = /\.norm\d?\.linear\.weight$/;

/** What a weight [N, K] in floats becomes where a model is quantized; nothing where it stays as it is. */
export function quantizedAs(
  name: string,
  shape: readonly number[],
  dtype: QuantizedDtype,
  groupSize = GROUP_SIZE,
): QuantizedDtype | undefined {
  const k = shape.at(-1)!;
  if (!(isLinearWeight(name, shape) && IN_BLOCK.test(name) && k % 8 === 0)) return undefined;
  return dtype === 'int4' && k % groupSize === 0 && !MODULATION.test(name) ? 'int4' : 'int8';
}

/** A network's weights as a file has them. */
interface Stored {
  readonly checkpoint: Pick<Checkpoint, 'name' | 'tensors'>;
  readonly specs: Readonly<Record<string, { readonly shape: readonly number[] }>>;
  /** The file's name of a parameter, where it is another than the network's. */
  readonly stored?: (name: string) => string;
}

/**
 * What a network expects, with the scales and offsets that this file has.
 * @throws InvalidFileError for a quantized weight of what is no linear layer.
 */
export function withScales<Given extends Stored>(given: Given): Given {
  const { checkpoint, specs, stored = (name: string) => name } = given;
  const { tensors } = checkpoint;
  const extra: Record<string, { readonly shape: readonly number[] }> = {};
  const names = new Map<string, string>();
  for (const [name, { shape }] of Object.entries(specs)) {
    for (const end of [SCALE, OFFSET]) {
      const own = stored(name) + end;
      const entry = tensors.get(own);
      if (!entry || name + end in specs) continue;
      if (!isLinearWeight(name, shape)) {
        throw new InvalidFileError(
          checkpoint.name,
          `tensor ${stored(name)} is quantized, which only linear layers can be; keep it as BF16 or F16`,
          { field: stored(name) },
        );
      }
      extra[name + end] = { shape: entry.shape };
      names.set(name + end, own);
    }
  }
  if (names.size === 0) return given;
  return {
    ...given,
    specs: { ...specs, ...extra },
    stored: (name: string) => names.get(name) ?? stored(name),
  };
}

/** @throws InvalidFileError for a network of quantized weights, through which no gradient goes. */
export function requireTrainable(
  { tensors }: { readonly tensors: ReadonlyMap<string, { readonly dtype: DType }> },
  folder: string,
): void {
  const found = [...tensors].find(([, { dtype }]) => isPacked(dtype));
  if (!found) return;
  throw new InvalidFileError(
    folder,
    `${found[0]} is quantized (${found[1].dtype}), which cannot be trained on; name the model in bf16 or f32`,
    { field: found[0] },
  );
}

/** How many weights have scales. */
export const quantizedCount = (names: Iterable<string>): number =>
  [...names].filter((name) => name.endsWith(`.weight${SCALE}`)).length;

/** x [..., K] times the transpose of the weight `name` [N, K], quantized or not. */
export function project(weights: Weights, x: Tensor, name: string): Tensor {
  const weight = weights.get(name);
  if (!weights.has(name + SCALE)) return linear(x, weight);
  const offsets = weights.has(name + OFFSET) ? weights.get(name + OFFSET) : undefined;
  return quantizedMatmul(x, weight, weights.get(name + SCALE), offsets);
}
