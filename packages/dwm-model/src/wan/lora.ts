/**
 * LoRA on a Wan transformer: DWM's own, under kohya's names, and LightX2V's, which distil the 50 steps into 4 and come as
 * kohya's names with differences of whole weights, or as PEFT's, under Wan's names or diffusers'.
 */
import { type Device, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { type ByteSource, openSafetensors } from '@dwm/core-tensor/files';
import { type LoadedBlocks, mergeInto } from '../weights/load-blocks.ts';
import type { MergedLora } from '../weights/merge-lora.ts';
import { diffusersName } from './transformer/names.ts';

/** How files name what belongs to a Wan transformer, and how the original merges it. */
export const WAN_LORA = { alias: diffusersName, roundsProducts: true, zeroIsRank: false } as const;

/** How a LoRA for fewer steps is merged. */
export interface LightX2VOptions {
  /** Default 1. */
  readonly scale?: number;
  /** Refuse a file that lacks a block, or of which a tensor finds no place. Default true. */
  readonly strict?: boolean;
  /** Add differences outside the blocks too; the original leaves them out. Default false. */
  readonly outsideBlocks?: boolean;
  /** Blocks of the network. */
  readonly blocks: number;
}

const BLOCK = /^blocks\.(\d+)\./;
/** A difference outside the blocks, as the file names it. */
const OUTER_DIFFERENCE = /^(?!.*\bblocks\.\d).*\.diff(?:_b)?$/;

/**
 * Merges a LightX2V LoRA, after the model's own.
 * @throws InvalidFileError where it is none, or, strict, where it does not cover the network.
 */
export async function mergeLightX2V(
  device: Device,
  loaded: LoadedBlocks,
  source: ByteSource,
  { scale = 1, strict = true, outsideBlocks = false, blocks }: LightX2VOptions,
): Promise<MergedLora> {
  if (!Number.isFinite(scale))
    throw new InvalidArgumentError('distilled.scale', `expected a number, got ${scale}`);
  const lora = await openSafetensors(source);
  try {
    const isPeft = [...lora.tensors.keys()].some((name) => /\.lora_A(\.[^.]+)?\.weight$/.test(name));
    // Of PEFT's layout only the pairs count, without alpha.
    const ignore = (name: string) => isPeft && /\.(alpha|diff|diff_b)$/.test(name);
    const mayBeLeft = (name: string) => !outsideBlocks && OUTER_DIFFERENCE.test(name);
    return await mergeInto(
      device,
      loaded,
      { lora },
      {
        ...WAN_LORA,
        ignore,
        weight: scale,
        takesDifference: (name) => outsideBlocks || BLOCK.test(name),
        check: ({ layers, unused: homeless }) => {
          if (!strict) return;
          const unused = homeless.filter((name) => !mayBeLeft(name));
          const covered = new Set([...layers.keys()].flatMap((name) => BLOCK.exec(name)?.[1] ?? []));
          const missing = Array.from({ length: blocks }, (_, i) => String(i)).filter((i) => !covered.has(i));
          const fix = 'choose the LoRA made for this network, or set `distilled.strict: false`';
          if (missing.length > 0) {
            throw new InvalidFileError(
              lora.name,
              `holds nothing for block ${missing.slice(0, 10).join(', ')} of ${blocks}; ${fix}`,
              { missing },
            );
          }
          if (unused.length > 0) {
            throw new InvalidFileError(
              lora.name,
              `${unused.slice(0, 3).join(', ')}${unused.length > 3 ? ` and ${unused.length - 3} others` : ''} belong to nothing in this network; ${fix}`,
              { unused },
            );
          }
        },
      },
    );
  } finally {
    if (!loaded.stream) await lora.close();
  }
}
