/** The denoiser of a run: one program where all of the transformer is on the device, else one that goes by blocks. */
import type { DeviceTensor, Plan } from '@dwm/core-tensor';
import { type Blocks, blocksAtHand } from '../weights/blocks.ts';
import { BlockDenoiser, planBlockDenoiser } from './block-denoiser.ts';
import { Denoiser, type DenoiserCall, type DenoiserShape } from './denoiser.ts';
import type { PipelineParts } from './parts.ts';
import type { CacheKind, StepCache } from './step-cache.ts';

/** Ready for the calls of a run. @param rows embeddings, negative first. */
export async function createDenoiser(
  parts: PipelineParts,
  shape: DenoiserShape,
  condition: DeviceTensor,
  rows: Float32Array,
  calls: readonly DenoiserCall[],
  cache: StepCache | undefined,
): Promise<Denoiser | BlockDenoiser> {
  const { device, network, precision } = parts;
  const { parameters: outer, stream } = parts.transformer;
  if (!stream && !cache) return Denoiser.create(device, network, shape, condition, rows, calls, precision);
  const { twoPasses } = parts.memory;
  return BlockDenoiser.create(
    device,
    network,
    { outer, blocks: blocksOf(parts) },
    { ...shape, twoPasses },
    condition,
    rows,
    calls,
    precision,
    cache,
  );
}

/** The transformer's blocks, wherever they are. */
function blocksOf({ network, transformer: { parameters, stream } }: PipelineParts): Blocks {
  return stream ?? blocksAtHand(parameters, network.blocks, network.blockPrefix);
}

/** Bytes of a step beside what is on the device already. */
export function planDenoiser(
  parts: PipelineParts,
  shape: DenoiserShape & { readonly cache: CacheKind | undefined },
): { readonly bytes: number; readonly plans: readonly Plan[] } {
  const { device, network, precision } = parts;
  const { parameters, stream } = parts.transformer;
  if (!stream && !shape.cache) {
    const plan = Denoiser.plan(device, network, shape, precision);
    return { bytes: plan.memory.total - plan.memory.parameters, plans: [plan] };
  }
  const { twoPasses } = parts.memory;
  const blocks = blocksOf(parts);
  const weights = blocks.specs(blocks.blocks - 1);
  const { bytes, plans } = planBlockDenoiser(
    device,
    network,
    parameters,
    weights,
    { ...shape, twoPasses },
    precision,
  );
  return { bytes: bytes + (stream?.slotBytes ?? 0), plans };
}
