/** Trained updates as the original writes them: kohya's names with alpha, and beside them what was trained whole. */
import { type ModelFolder, type SafetensorsDtype, toBfloat16 } from '@dwm/core-tensor/files';
import { startFromLora, TRANSFORMER_FILE } from '../../training/export.ts';
import { PackedLayout } from '../../training/packed.ts';
import { NON_LORA_FILE } from '../../weights/lora-files.ts';
import { WAN_LORA } from '../lora.ts';
import type { WanLora } from './trainable.ts';

/** File name of a trained LoRA of Wan. */
export const WAN_LORA_FILE = 'lora_diffusion_pytorch_model.safetensors';

/** A layer of the network in kohya's names: the root of the network has an empty name, hence two underscores. */
const kohyaName = (module: string): string => `lora_unet__${module.replaceAll('.', '_')}`;

/** A tensor as a file holds it. */
interface SavedTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: Float32Array | Uint16Array;
}

const SIDES = [
  ['.lora_A.weight', '.lora_down.weight'],
  ['.lora_B.weight', '.lora_up.weight'],
] as const;

/** The file's name of a trained tensor. */
export function wanStored(name: string): string {
  for (const [ours, theirs] of SIDES)
    if (name.endsWith(ours)) return kohyaName(name.slice(0, -ours.length)) + theirs;
  return name;
}

const isLowRank = (name: string) => SIDES.some(([ours]) => name.endsWith(ours));

const savedTensor = (shape: readonly number[], values: Float32Array, half: boolean): SavedTensor =>
  half ? { dtype: 'BF16', shape, data: toBfloat16(values) } : { dtype: 'F32', shape, data: values };

const sortedByName = (tensors: [string, SavedTensor][]) =>
  new Map(tensors.sort(([a], [b]) => (a < b ? -1 : 1)));

/**
 * Safetensors files of a LoRA by path.
 * @param parts layouts with their packed values.
 * @param half writes bf16, as the original's runs in bf16 do; else f32.
 */
export function wanLoraFiles(
  parts: readonly { readonly layout: PackedLayout; readonly theta: Float32Array }[],
  alpha: number,
  half: boolean,
): Map<string, ReadonlyMap<string, SavedTensor>> {
  const lora: [string, SavedTensor][] = [];
  const whole: [string, SavedTensor][] = [];
  for (const { layout, theta } of parts) {
    for (const [name, { shape }] of layout.parts) {
      const tensor = savedTensor(shape, layout.values(theta, name), half);
      if (!isLowRank(name)) {
        whole.push([name, tensor]);
        continue;
      }
      lora.push([wanStored(name), tensor]);
      if (name.endsWith(SIDES[0][0])) {
        const module = name.slice(0, -SIDES[0][0].length);
        lora.push([`${kohyaName(module)}.alpha`, savedTensor([], Float32Array.of(alpha), half)]);
      }
    }
  }
  return new Map([
    [WAN_LORA_FILE, sortedByName(lora)],
    ...(whole.length > 0 ? [[NON_LORA_FILE, sortedByName(whole)] as const] : []),
  ]);
}

/** The transformer's files in mode `sft`, by path. */
export function wanWholeFiles(
  parts: readonly { readonly layout: PackedLayout; readonly theta: Float32Array }[],
  half: boolean,
): Map<string, ReadonlyMap<string, SavedTensor>> {
  const tensors = parts.flatMap(({ layout, theta }) =>
    [...layout.parts].map(([name, { shape }]): [string, SavedTensor] => [
      name,
      savedTensor(shape, layout.values(theta, name), half),
    ]),
  );
  return new Map([[TRANSFORMER_FILE, sortedByName(tensors)]]);
}

/**
 * Packed values of what is trained, and of what stays as it starts, from LoRA files of anybody's.
 * @param scale this run's factor, alpha / rank.
 * @throws InvalidFileError as `startFromLora`.
 */
export async function startFromWanLora(
  folder: ModelFolder,
  { layout, idle }: WanLora,
  scale: number,
): Promise<{ theta: Float32Array; idle: Float32Array; note?: string }> {
  const shapes = [layout, idle.layout].flatMap(({ parts }) =>
    [...parts].map(([name, { shape }]) => [name, shape] as const),
  );
  const all = new PackedLayout(Object.fromEntries(shapes));
  const { theta, note } = await startFromLora(folder, all, scale, WAN_LORA.zeroIsRank);
  const packed = (one: PackedLayout) => {
    const values = new Float32Array(one.length);
    for (const name of one.parts.keys()) one.values(values, name).set(all.values(theta, name));
    return values;
  };
  return { theta: packed(layout), idle: packed(idle.layout), ...(note && { note }) };
}
