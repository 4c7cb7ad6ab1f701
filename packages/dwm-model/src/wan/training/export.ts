/** Trained updates as the original writes them: kohya's names with alpha, and beside them what was trained whole. */
import {
  type Checkpoint,
  InvalidFileError,
  type SafetensorsDtype,
  toBfloat16,
  toFloat32,
} from '@dwm/core-tensor';
import type { PackedLayout } from '../../training/packed.ts';
import { NON_LORA_FILE } from '../../weights/lora.ts';

export const WAN_LORA_FILE = 'lora_diffusion_pytorch_model.safetensors';

/** A layer of the network in kohya's names: the root of the network has an empty name, hence two underscores. */
export const kohyaName = (module: string): string => `lora_unet__${module.replaceAll('.', '_')}`;

export interface SavedTensor {
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

/**
 * Safetensors files by path.
 * @param parts layouts with their packed values.
 * @param half writes bf16, as the original's runs in bf16 do; else f32.
 */
export function wanLoraFiles(
  parts: readonly { readonly layout: PackedLayout; readonly theta: Float32Array }[],
  alpha: number,
  half: boolean,
): Map<string, ReadonlyMap<string, SavedTensor>> {
  const saved = (shape: readonly number[], values: Float32Array): SavedTensor =>
    half ? { dtype: 'BF16', shape, data: toBfloat16(values) } : { dtype: 'F32', shape, data: values };
  const lora: [string, SavedTensor][] = [];
  const whole: [string, SavedTensor][] = [];
  for (const { layout, theta } of parts) {
    for (const [name, { shape }] of layout.parts) {
      const tensor = saved(shape, layout.values(theta, name));
      if (!isLowRank(name)) {
        whole.push([name, tensor]);
        continue;
      }
      lora.push([wanStored(name), tensor]);
      if (name.endsWith(SIDES[0][0])) {
        const module = name.slice(0, -SIDES[0][0].length);
        lora.push([`${kohyaName(module)}.alpha`, saved([], Float32Array.of(alpha))]);
      }
    }
  }
  const sorted = (tensors: [string, SavedTensor][]) => new Map(tensors.sort(([a], [b]) => (a < b ? -1 : 1)));
  return new Map([
    [WAN_LORA_FILE, sorted(lora)],
    ...(whole.length > 0 ? [[NON_LORA_FILE, sorted(whole)] as const] : []),
  ]);
}

/**
 * Values of a layout from the original's two files.
 * @throws InvalidFileError where one lacks a tensor, or has it in another shape.
 */
export async function readWanLora(
  layout: PackedLayout,
  lora: Checkpoint,
  whole: Checkpoint | undefined,
): Promise<Float32Array> {
  const theta = new Float32Array(layout.length);
  for (const [name, { shape }] of layout.parts) {
    const file = isLowRank(name) ? lora : (whole ?? lora);
    const stored = wanStored(name);
    const entry = file.tensors.get(stored);
    if (entry?.shape.join() !== shape.join()) {
      throw new InvalidFileError(
        file.name,
        `${stored}: expected [${shape}], ${entry ? `got [${entry.shape}]` : 'is missing'}; check lora_rank and trainable_parameter_patterns`,
        { field: stored },
      );
    }
    layout.values(theta, name).set(toFloat32(await file.readTensor(stored)));
  }
  return theta;
}
