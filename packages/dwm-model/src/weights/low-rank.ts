/**
 * LoRAs beside the weights of a network, not merged into them: for weights that are quantized, and for several whose
 * strengths change. Number k of the layer `X` has the tensors `X.low.k.a` [rank, inputs], `X.low.k.b` [outputs, rank]
 * and `X.low.k.scale` [1].
 */
import { type Device, DeviceTensor, InvalidArgumentError, spec } from '@dwm/core-tensor';
import type { Checkpoint } from '@dwm/core-tensor/files';
import type { LoraLayer } from './lora-names.ts';
import { loadParameters, type ParameterSpecs, type Parameters } from './parameters.ts';
import type { Adapter, Weights } from './weights.ts';

type LowRankPart = 'a' | 'b' | 'scale';

const lowRankName = (module: string, lora: number, part: LowRankPart): string =>
  `${module}.low.${lora}.${part}`;

/** Most LoRAs beside a network. */
export const MOST_LORAS = 16;

/** The low-rank updates beside the linear layer `module`. */
export function lowRanks(weights: Weights, module: string): Adapter[] {
  const trained = weights.adapter?.(module);
  const found: Adapter[] = trained ? [trained] : [];
  for (let k = 0; k < MOST_LORAS; k++) {
    const part = (own: LowRankPart) => weights.get(lowRankName(module, k, own));
    if (weights.has(lowRankName(module, k, 'a'))) {
      found.push({ a: part('a'), b: part('b'), scale: part('scale') });
    }
  }
  return found;
}

/** Puts an update beside the weight of a linear layer of `shape`. */
export async function keepBeside(
  device: Device,
  parameters: Parameters,
  file: Checkpoint,
  { down, up }: LoraLayer,
  place: { readonly module: string; readonly lora: number; readonly shape: readonly number[] },
  weight: number,
  factor: number,
): Promise<void> {
  const { module, lora, shape } = place;
  const [rank] = file.tensors.get(down)!.shape;
  const specs: ParameterSpecs = {
    [down]: { shape: [rank, shape[1]] },
    [up]: { shape: [shape[0], rank] },
  };
  const low = await loadParameters(device, file, specs, { ignore: () => true });
  parameters.replace(lowRankName(module, lora, 'a'), low.tensors.get(down)!);
  parameters.replace(lowRankName(module, lora, 'b'), low.tensors.get(up)!);
  const name = lowRankName(module, lora, 'scale');
  const scale = new DeviceTensor(device, spec([1]), name);
  parameters.replace(name, scale);
  parameters.besides[lora].set(scale, factor);
  scale.write(new Float32Array([weight * factor]));
}

/**
 * Counts a LoRA that was loaded beside the weights another number of times, 0 for not at all. What runs next has it.
 * @param lora its number, in the order of loading, from 0.
 * @throws InvalidArgumentError where no such LoRA is beside the weights.
 */
export function weighLora({ besides }: Parameters, lora: number, weight: number): void {
  const scales = besides[lora];
  if (!scales?.size)
    throw new InvalidArgumentError(
      'lora',
      `there is no LoRA ${lora} beside the weights; load several, or quantize`,
    );
  for (const [scale, factor] of scales) scale.write(new Float32Array([weight * factor]));
}
