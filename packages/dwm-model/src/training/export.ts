/**
 * Trained weights as the files that others read: the two LoRA files of the original with its bare names, or a
 * whole transformer; and as parameters on the device, for a validation run.
 */
import {
  add,
  cast,
  type Device,
  type DeviceTensor,
  evaluate,
  InvalidFileError,
  matmul,
  mul,
  parameter,
} from '@dwm/core-tensor';
import { type Checkpoint, type ModelFolder, toFloat32 } from '@dwm/core-tensor/files';
import { closeLora, LORA_FILE, NON_LORA_FILE, openLora } from '../weights/lora-files.ts';
import { loraNames, wholeNames } from '../weights/lora-names.ts';
import { loraScaleOf } from '../weights/merge-lora.ts';
import { type ParameterSpecs, Parameters } from '../weights/parameters.ts';
import type { PackedLayout } from './packed.ts';
import { peftName, type Trainable } from './trainable.ts';

export const TRANSFORMER_FILE = 'transformer/diffusion_pytorch_model.safetensors';

/** Tensors to write, as `saveSafetensors` takes them. */
type TensorsToSave = ReadonlyMap<string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }>;

const LORA_END = /\.lora_[AB]\.weight$/;
const isLora = (name: string) => LORA_END.test(name);

/** The tensors of `layout` that `wanted` picks, by name in order, in the shapes of the file. */
function tensorsOf(
  layout: PackedLayout,
  theta: Float32Array,
  wanted: (name: string) => boolean,
  specs: ParameterSpecs = {},
): TensorsToSave {
  return new Map(
    [...layout.parts]
      .filter(([name]) => wanted(name))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { shape }]) => {
        const values = layout.values(theta, name);
        const { order, shape: stored = shape } = specs[name] ?? {};
        return [
          name,
          { dtype: 'F32', shape: stored, data: order ? restored(values, stored, order) : values },
        ];
      }),
  );
}

/** Values in the order of the file, given those of its dimensions `order`. */
function restored(values: Float32Array, shape: readonly number[], order: readonly number[]): Float32Array {
  const strides = new Array<number>(shape.length).fill(1);
  let stride = 1;
  for (const d of order.toReversed()) {
    strides[d] = stride;
    stride *= shape[d];
  }
  const out = new Float32Array(values.length);
  const at = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = values[from];
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d];
      if (++at[d] < shape[d]) break;
      from -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
  return out;
}

/** @param specs where kernels want another order of dimensions than the file has. */
export const wholeNetwork = (
  layout: PackedLayout,
  theta: Float32Array,
  specs?: ParameterSpecs,
): TensorsToSave => tensorsOf(layout, theta, () => true, specs);

/** Safetensors files of a LoRA by path. */
export function loraFiles(layout: PackedLayout, theta: Float32Array): Map<string, TensorsToSave> {
  const targets = new Set([...layout.parts.keys()].filter(isLora).map((name) => name.replace(LORA_END, '')));
  const whole = new Map(
    [...tensorsOf(layout, theta, (name) => !isLora(name))].map(([name, tensor]) => [
      peftName(name, targets),
      tensor,
    ]),
  );
  return new Map([
    [LORA_FILE, tensorsOf(layout, theta, isLora)],
    ...(whole.size > 0 ? [[NON_LORA_FILE, whole] as const] : []),
  ]);
}

/** The header of a LoRA file, as diffusers writes it: with it alpha need not be guessed. */
export const loraMetadata = (rank: number, alpha: number, targetModules: readonly string[]) => ({
  format: 'pt',
  lora_adapter_metadata: JSON.stringify({
    'transformer.r': rank,
    'transformer.lora_alpha': alpha,
    'transformer.target_modules': targetModules,
  }),
});

/**
 * The packed start of a training that goes on from LoRA files of anybody's. Where the file says its alpha, B is scaled
 * so that this run's factor gives the product that the file means; where it does not, A and B are taken as they are,
 * as the original takes them.
 * @param scale this run's factor, alpha / rank.
 * @param zeroIsRank as `loraScale` has it; true unless told.
 * @throws InvalidFileError where the files hold other tensors than are trained, or of other shapes.
 */
export async function startFromLora(
  folder: ModelFolder,
  layout: PackedLayout,
  scale: number,
  zeroIsRank?: boolean,
): Promise<{ theta: Float32Array; note?: string }> {
  const files = await openLora(folder);
  const { lora, whole } = files;
  const theta = new Float32Array(layout.length);
  const missing = new Set(layout.parts.keys());
  const read = async (file: Checkpoint, stored: string, name: string, factor = 1) => {
    const part = layout.parts.get(name);
    const entry = file.tensors.get(stored)!;
    if (!part || part.shape.join() !== entry.shape.join()) {
      throw new InvalidFileError(
        file.name,
        `${stored}: ${part ? `expected [${part.shape}], got [${entry.shape}]` : 'is not trained here'}; check lora_rank, lora_target_modules and trainable_parameter_patterns`,
        { field: stored },
      );
    }
    const values = toFloat32(await file.readTensor(stored));
    layout.values(theta, name).set(factor === 1 ? values : values.map((x) => x * factor));
    missing.delete(name);
  };
  const factors = new Set<number>();
  try {
    const layers = [...layout.parts.keys()].filter(isLora);
    const targets = new Set(
      [...layout.parts.keys()].map((name) => (isLora(name) ? name.replace(LORA_END, '.weight') : name)),
    );
    const names = loraNames(lora.name, lora.tensors.keys(), targets, { refusesDifferences: true });
    for (const [module, layer] of names.layers) {
      const { factor, source } = await loraScaleOf(files, module, layer, zeroIsRank);
      const change = source === undefined ? 1 : factor / scale;
      if (layers.includes(`${module}.lora_A.weight`)) factors.add(change);
      await read(lora, layer.down, `${module}.lora_A.weight`);
      await read(lora, layer.up, `${module}.lora_B.weight`, change);
    }
    for (const [name, stored] of names.whole) await read(lora, stored, name);
    const others = whole && wholeNames(whole.tensors.keys(), targets);
    for (const [name, stored] of others?.whole ?? []) await read(whole!, stored, name);
    const [stray] = [...names.unused, ...(others?.unused ?? [])];
    if (stray !== undefined) await read(names.unused.length > 0 ? lora : whole!, stray, stray);
    for (const name of missing) {
      throw new InvalidFileError(folder.name, `${name} is missing; check lora_target_modules`, {
        field: name,
      });
    }
    const changed = [...factors].filter((factor) => Math.abs(factor - 1) > 1e-6);
    if (changed.length === 0) return { theta };
    const times = changed.map((factor) => Number(factor.toPrecision(4))).join(', ');
    return {
      theta,
      note: `${lora.name}: B is taken ${times} times, since its alpha by rank differs from this run's`,
    };
  } finally {
    await closeLora(files);
  }
}

/**
 * Puts the weights as they are now into `target`: W + scale · B·A, or the trained tensor itself. Untouched
 * weights are shared with `base`.
 */
export async function applyTrained(
  device: Device,
  base: Parameters,
  trainable: Trainable,
  theta: DeviceTensor,
  target: Parameters,
): Promise<void> {
  const { weights, trained } = trainable.bind(parameter(theta));
  for (const [name, tensor] of base.tensors) {
    const adapter = name.endsWith('.weight')
      ? weights.adapter?.(name.slice(0, -'.weight'.length))
      : undefined;
    if (trained.has(name) || adapter) {
      const weight = trained.get(name) ?? parameter(tensor);
      const now = adapter ? add(weight, mul(matmul(adapter.b, adapter.a), adapter.scale)) : weight;
      // It keeps its own dtype, so that kernels see what they saw.
      target.replace(name, (await evaluate(device, { out: cast(now, tensor.dtype) })).out);
    } else if (!target.has(name)) target.replace(name, tensor);
  }
}

export const emptyParameters = (): Parameters => new Parameters(new Map());
