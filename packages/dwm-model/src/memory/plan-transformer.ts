/** Ways of a denoising step: all of the transformer on the device, or as many blocks as fit and the others streamed. */
import { type Device, type KernelWork, type Plan, workByKernel } from '@dwm/core-tensor';
import type { ModelShapes, StackShapes } from '../families/family.ts';
import { isQuantizedStack, stackBytes } from '../families/symbols.ts';
import { type BlockDenoiserPlan, planBlockDenoiser } from '../pipeline/block-denoiser.ts';
import { Denoiser } from '../pipeline/denoiser.ts';
import type { LatentSize } from '../vae/index.ts';
import { ownBytes } from '../weights/block-loop.ts';
import { specBytes } from '../weights/block-stream.ts';
import { ALL_RESIDENT, type MemoryChoice } from './choice.ts';
import { within } from './refusal.ts';
import type { RunNeeds } from './run-plan.ts';

const FEED_FORWARD_PARTS = [1, 4, 16];

/** One way of a step; sizes in bytes. */
export interface Way {
  readonly choice: MemoryChoice;
  /** Beside what is kept. */
  readonly bytes: number;
  /** Weights on the device throughout. */
  readonly kept: number;
  readonly planned: BlockDenoiserPlan;
  readonly flops: number;
  /** Of weights, read again in every step. */
  readonly reads: number;
  readonly chosen: string;
}

/** What all ways have in common; sizes in bytes. */
export interface WaysOptions {
  readonly latent: LatentSize;
  readonly textLength: number;
  /** What a denoising step has beside the transformer. */
  readonly others: number;
  /** Of the transformer's stage, with the VAE's weights. */
  readonly budget: number;
  /** Takes what the device's limits refuse. */
  readonly refusals: string[];
}

/** Every way is planned once. */
export class TransformerWays {
  /** With LoRAs that stay beside the weights. */
  readonly stack: StackShapes;
  /** The least that a way block by block took of a budget. */
  least = Number.POSITIVE_INFINITY;
  readonly #model: ModelShapes;
  readonly #device: Device;
  readonly #needs: RunNeeds;
  readonly #options: WaysOptions;
  readonly #mergeBytes: number;
  readonly #plans = new Map<string, BlockDenoiserPlan | undefined>();

  constructor(model: ModelShapes, device: Device, needs: RunNeeds, options: WaysOptions) {
    this.#model = model;
    this.#device = device;
    this.#needs = needs;
    this.#options = options;
    const { shapes } = model.stacked();
    const { loras } = needs;
    const staysBeside = loras && (loras.count > 1 || isQuantizedStack(shapes));
    this.stack = { ...shapes, outerBytes: shapes.outerBytes + (staysBeside ? loras.bytes : 0) };
    this.#mergeBytes = loras && !staysBeside ? mergeScratch(shapes.block) : 0;
  }

  /** All blocks in one program, where they fit. */
  whole(): Way | undefined {
    const model = this.#model;
    const { cache, precision, guided } = this.#needs;
    const { others, budget, refusals, ...shape } = this.#options;
    const kept = stackBytes(this.stack);
    if (model.vaeBytes + kept >= budget) return undefined;
    const planned = this.#plan(false, 1);
    if (!planned) return undefined;
    const plan = () => Denoiser.plan(this.#device, model.network, { ...shape, guided }, precision);
    const resident = cache
      ? planned
      : within(() => residentBytes(plan(), planned, this.stack.blocks), refusals);
    if (!resident || model.vaeBytes + kept + others + resident.bytes > budget) return undefined;
    return {
      ...{ choice: ALL_RESIDENT, bytes: others + resident.bytes, kept, planned },
      ...{ flops: resident.flops, reads: 0, chosen: `all blocks stay${this.#skips}` },
    };
  }

  /** Ways block by block, with as many blocks on the device as fit, `most` at the most. */
  inBlocks(most: number): Way[] {
    const { others, budget } = this.#options;
    const { blocks, blockBytes, outerBytes } = this.stack;
    const slots = 2 * blockBytes + this.#mergeBytes;
    const found: Way[] = [];
    for (const twoPasses of this.#needs.guided ? [false, true] : [false]) {
      for (const feedForwardParts of FEED_FORWARD_PARTS) {
        const planned = this.#plan(twoPasses, feedForwardParts);
        if (!planned) continue;
        const own = others + planned.bytes;
        const fixed = this.#model.vaeBytes + outerBytes + own;
        this.least = Math.min(this.least, fixed + slots);
        const room = budget - fixed;
        const all = most === blocks && room >= blocks * blockBytes;
        const streaming = Math.min(most, blocks - 1, Math.floor((room - slots) / blockBytes));
        const residentBlocks = all ? blocks : streaming;
        if (residentBlocks < 0) continue;
        const away = blocks - residentBlocks;
        const chosen = [
          `${away === 0 ? 'all' : residentBlocks} of ${blocks} blocks stay`,
          ...(away > 0 ? ['the others are streamed'] : []),
          ...(twoPasses ? ['guidance in two passes'] : []),
          ...(feedForwardParts > 1 ? [`feed-forward in ${feedForwardParts} parts`] : []),
        ];
        found.push({
          choice: { text: 'come in blocks', twoPasses, residentBlocks, feedForwardParts },
          bytes: own + (away > 0 ? Math.min(away, 2) * blockBytes + this.#mergeBytes : 0),
          kept: outerBytes + residentBlocks * blockBytes,
          ...{ planned, flops: planned.flops, reads: away * blockBytes },
          chosen: `${chosen.join(', ')}${this.#skips}`,
        });
        if (all) return found;
      }
    }
    return found;
  }

  get #skips(): string {
    const { cache } = this.#needs;
    return cache ? `, ${cache === 'teacache' ? 'TeaCache' : 'first-block cache'}` : '';
  }

  #plan(twoPasses: boolean, parts: number): BlockDenoiserPlan | undefined {
    const key = `${twoPasses} ${parts}`;
    if (!this.#plans.has(key)) {
      const { guided, cache, precision } = this.#needs;
      const { latent, textLength, refusals } = this.#options;
      const shape = { latent, textLength, guided, twoPasses, cache };
      const plan = () => {
        const { network, weights } = this.#model.stacked(parts > 1 ? { feedForwardParts: parts } : {});
        return planBlockDenoiser(this.#device, network, weights, this.stack.block, shape, precision);
      };
      this.#plans.set(key, within(plan, refusals));
    }
    return this.#plans.get(key);
  }
}

/**
 * One program with all weights.
 * @param plan of one block, since blocks share their memory one after the other.
 */
function residentBytes(
  plan: Plan,
  { begin, block }: BlockDenoiserPlan,
  blocks: number,
): { bytes: number; flops: number } {
  const more = blocks - 1;
  const inputs = specBytes(begin.inputs) + 16;
  return {
    bytes: inputs + ownBytes(plan) + more * block.plan.memory.uniforms,
    flops: plan.cost.flops + more * block.plan.cost.flops,
  };
}

export function kernelsOfStep(
  { begin, block, end, combine, passes }: BlockDenoiserPlan,
  blocks: number,
): KernelWork[] {
  return workByKernel([
    { plan: begin.plan, times: passes },
    { plan: block.plan, times: passes * blocks },
    { plan: end.plan, times: passes },
    ...(combine ? [{ plan: combine.plan, times: 1 }] : []),
  ]);
}

/** Of merging a LoRA into the largest weight of a block: the sum in f32, and what it becomes. */
function mergeScratch(block: Parameters<typeof specBytes>[0]): number {
  const largest = Math.max(...Object.entries(block).map(([name, one]) => specBytes({ [name]: one })));
  return 4 * largest;
}
