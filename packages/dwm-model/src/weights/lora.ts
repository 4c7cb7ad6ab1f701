/**
 * DWM's fine-tuned weights on top of a base: low-rank updates merged into the weights they belong to, and
 * the few tensors that were trained whole put in place. Files and names are PEFT's, as the original saves
 * them, with or without the `transformer.` prefix.
 */
import {
  add,
  type Checkpoint,
  cast,
  type Device,
  evaluate,
  InvalidFileError,
  type ModelFolder,
  matmul,
  openSafetensors,
  pad,
  parameter,
} from '@dwm/core-tensor';
import { loadParameters, type ParameterSpecs, type Parameters } from './parameters.ts';

export const LORA_FILE = 'pytorch_lora_weights.safetensors';
export const NON_LORA_FILE = 'non_lora_weights.safetensors';

const PREFIX = 'transformer.';
const bare = (name: string) => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name);

/** The files of a LoRA folder, opened; only headers are read. */
export interface LoraFiles {
  readonly lora: Checkpoint;
  /** Tensors trained whole, by their name in the network. */
  readonly whole?: Checkpoint;
}

/** @throws InvalidFileError when the folder has no LoRA file. */
export async function openLora(folder: ModelFolder): Promise<LoraFiles> {
  const lora = await openSafetensors(await folder.open(LORA_FILE));
  const hasWhole = await folder.exists(NON_LORA_FILE);
  return { lora, whole: hasWhole ? await openSafetensors(await folder.open(NON_LORA_FILE)) : undefined };
}

/** Input channels of the patch projection that was trained whole, if there is one. */
export function trainedChannels({ whole }: LoraFiles): number | undefined {
  for (const [name, { shape }] of whole?.tensors ?? []) {
    if (bare(name) === 'patch_embed.proj.weight' && shape.length === 4) return shape[1];
  }
  return undefined;
}

/**
 * Merges W + B·A for every pair in the file, at scale 1: the original reads the rank off the file and sets
 * alpha to it. The sum is made in f32 and kept in the dtype of W.
 *
 * @returns the rank, which is one for all pairs.
 * @throws InvalidFileError for a pair that is incomplete, does not fit, or belongs to no weight.
 */
export async function mergeLora(
  device: Device,
  parameters: Parameters,
  { lora, whole }: LoraFiles,
): Promise<{ rank: number; merged: number }> {
  const problem = (field: string, text: string) =>
    new InvalidFileError(lora.name, `${field}: ${text}`, { field });
  const pairs = new Map<string, { a?: string; b?: string }>();
  for (const name of lora.tensors.keys()) {
    const match = /^(.*)\.lora_([AB])\.(?:default\.)?weight$/.exec(bare(name));
    if (!match) throw problem(name, 'expected a name ending in .lora_A.weight or .lora_B.weight');
    const pair = pairs.get(match[1]) ?? {};
    pair[match[2] === 'A' ? 'a' : 'b'] = name;
    pairs.set(match[1], pair);
  }
  if (pairs.size === 0) throw problem('file', 'holds no LoRA weights');
  const ranks = new Set<number>();
  for (const [module, { a, b }] of pairs) {
    if (!a || !b) throw problem(a ?? b ?? module, `its partner lora_${a ? 'B' : 'A'} is missing`);
    const target = parameters.tensors.get(`${module}.weight`);
    if (!target) throw problem(a, 'belongs to no weight of this network');
    const [rank] = lora.tensors.get(a)!.shape;
    const [outputs, inputs] = target.shape;
    const specs: ParameterSpecs = { [a]: { shape: [rank, inputs] }, [b]: { shape: [outputs, rank] } };
    const low = await loadParameters(device, lora, specs, { ignore: () => true });
    const update = matmul(low.get(b), low.get(a));
    const { out } = await evaluate(device, { out: cast(add(parameter(target), update), target.dtype) });
    low.destroy();
    parameters.replace(`${module}.weight`, out);
    ranks.add(rank);
  }
  if (ranks.size > 1) throw problem('rank', `expected one rank, found ${[...ranks].join(', ')}`);
  if (whole) await replaceWhole(device, parameters, whole);
  return { rank: [...ranks][0], merged: pairs.size };
}

async function replaceWhole(device: Device, parameters: Parameters, whole: Checkpoint): Promise<void> {
  for (const name of whole.tensors.keys()) {
    const target = parameters.tensors.get(bare(name));
    if (!target) {
      throw new InvalidFileError(whole.name, `${name}: belongs to no weight of this network`, {
        field: name,
      });
    }
    const loaded = await loadParameters(
      device,
      whole,
      { [name]: { shape: target.shape } },
      { ignore: () => true },
    );
    parameters.replace(bare(name), loaded.tensors.get(name)!);
  }
}

/** A patch projection [dim, channels, p, p] given `extra` more input channels, all zero. */
export async function widenChannels(
  device: Device,
  parameters: Parameters,
  name: string,
  extra: number,
): Promise<void> {
  const target = parameters.tensors.get(name)!;
  const { out } = await evaluate(device, { out: cast(pad(parameter(target), 1, 0, extra), target.dtype) });
  parameters.replace(name, out);
}
