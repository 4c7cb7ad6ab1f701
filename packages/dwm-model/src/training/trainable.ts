/**
 * What is trained and what is frozen. `full` trains every weight; `lora` trains low-rank updates beside the
 * linear layers named, and whole the tensors whose names match a pattern. Frozen weights stay as they were
 * loaded and get no gradient.
 */
import { elementCount, InvalidArgumentError, randomReference, type Tensor } from '@dwm/core-tensor';
import { toFloat32 } from '@dwm/core-tensor/files';
import type { Parameters } from '../weights/parameters.ts';
import type { Weights } from '../weights/weights.ts';
import { PackedLayout } from './packed.ts';

export interface Trainable {
  readonly layout: PackedLayout;
  /** Starting values, packed. */
  initial(): Promise<Float32Array>;
  /** The network's weights, trained ones read out of `packed`; and the trained tensors by name. */
  bind(packed: Tensor): { weights: Weights; trained: ReadonlyMap<string, Tensor> };
}

async function fill(
  layout: PackedLayout,
  value: (name: string, shape: readonly number[]) => Promise<Float32Array>,
): Promise<Float32Array> {
  const packed = new Float32Array(layout.length);
  for (const [name, { shape }] of layout.parts) layout.values(packed, name).set(await value(name, shape));
  return packed;
}

const readWeight = (parameters: Parameters) => async (name: string) => {
  const tensor = parameters.tensors.get(name)!;
  const dtype = ({ f32: 'F32', f16: 'F16', bf16: 'BF16' } as const)[tensor.dtype as 'f32'];
  return toFloat32({ dtype, data: await tensor.read() });
};

/** Trains every weight of the network, or those that `picked` picks by name. */
export function fullTrainable(
  parameters: Parameters,
  picked: (name: string) => boolean = () => true,
): Trainable {
  const shapes = Object.fromEntries(
    [...parameters.tensors].filter(([name]) => picked(name)).map(([name, { shape }]) => [name, shape]),
  );
  const layout = new PackedLayout(shapes);
  return {
    layout,
    initial: () => fill(layout, readWeight(parameters)),
    bind(packed) {
      const trained = new Map([...layout.parts.keys()].map((name) => [name, layout.part(packed, name)]));
      const get = (name: string) => trained.get(name) ?? parameters.get(name);
      return { trained, weights: { get, has: (name) => parameters.has(name) } };
    },
  };
}

interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  /** Layers whose name ends in one of these get an update, e.g. `to_q`, `to_out.0`. */
  readonly targetModules: readonly string[];
  /** Tensors whose names match one of these from their start are trained whole, e.g. `patch_embed.proj`. */
  readonly trainablePatterns: readonly string[];
  /** Layers whose updates match one of these get none, unless a pattern of the former kind matches too. */
  readonly frozenPatterns?: readonly string[];
  readonly seed: number;
}

/** Trains low-rank updates y = W x + (alpha / rank) · B (A x); A starts uniform as in PEFT, B at zero. */
export function loraTrainable(parameters: Parameters, options: LoraOptions): Trainable {
  const { targetModules, trainablePatterns } = options;
  const isTrained = matcher(trainablePatterns);
  const isFrozen = matcher(options.frozenPatterns ?? []);
  const targets = [...parameters.tensors.keys()]
    .filter((name) => name.endsWith('.weight'))
    .map((name) => name.slice(0, -'.weight'.length))
    .filter((module) => targetModules.some((target) => module === target || module.endsWith(`.${target}`)));
  const modules = targets.filter((module) => {
    const names = ['A', 'B'].map((side) => `${module}.lora_${side}.default.weight`);
    return !names.every((name) => isFrozen(name) && !isTrained(name));
  });
  if (targets.length === 0) {
    throw new InvalidArgumentError(
      'lora_target_modules',
      `no layer of this network ends in ${targetModules.join(', ')}`,
    );
  }
  const wrapped = new Set(targets);
  const whole = [...parameters.tensors.keys()].filter((name) => isTrained(peftName(name, wrapped)));
  return lowRankTrainable(parameters, modules, whole, options);
}

/**
 * Updates beside `modules`, packed first, and the tensors `whole` by name.
 * @param seed of the updates' start.
 */
export function lowRankTrainable(
  parameters: Parameters,
  modules: readonly string[],
  whole: readonly string[],
  { rank, alpha, seed }: { readonly rank: number; readonly alpha: number; readonly seed: number },
): Trainable {
  const shapes: Record<string, readonly number[]> = {};
  for (const module of modules) {
    const [outputs, inputs] = parameters.tensors.get(`${module}.weight`)!.shape;
    shapes[`${module}.lora_A.weight`] = [rank, inputs];
    shapes[`${module}.lora_B.weight`] = [outputs, rank];
  }
  for (const name of whole) shapes[name] = parameters.tensors.get(name)!.shape;
  const layout = new PackedLayout(shapes);
  const read = readWeight(parameters);
  let drawn = 0;
  return {
    layout,
    initial: () =>
      fill(layout, async (name, shape) => {
        if (name.endsWith('.lora_B.weight')) return new Float32Array(elementCount(shape));
        if (!name.endsWith('.lora_A.weight')) return read(name);
        const bound = 1 / Math.sqrt(shape[1]);
        const spec = { count: elementCount(shape), distribution: 'uniform' as const, stream: drawn++ };
        return Float32Array.from(randomReference(spec, [seed >>> 0, LORA_KEY]), (u) => (2 * u - 1) * bound);
      }),
    bind(packed) {
      const trained = new Map([...layout.parts.keys()].map((name) => [name, layout.part(packed, name)]));
      return {
        trained,
        weights: {
          get: (name) => trained.get(name) ?? parameters.get(name),
          has: (name) => parameters.has(name),
          adapter(module) {
            const a = trained.get(`${module}.lora_A.weight`);
            const b = trained.get(`${module}.lora_B.weight`);
            return a && b && { a, b, scale: alpha / rank };
          },
        },
      };
    },
  };
}

/** A tensor's name in a network that PEFT has put updates into. */
export function peftName(name: string, targets: ReadonlySet<string>): string {
  const at = name.lastIndexOf('.');
  const module = name.slice(0, at);
  return targets.has(module) ? `${module}.base_layer${name.slice(at)}` : name;
}

/** Whether a name matches one of the patterns from its start, as Python's `re.match` has it. */
function matcher(patterns: readonly string[]): (name: string) => boolean {
  const compiled = patterns.map((pattern) => {
    try {
      return new RegExp(`^(?:${pattern})`);
    } catch (error) {
      throw new InvalidArgumentError(
        'trainable_parameter_patterns',
        `"${pattern}" is no regular expression (${(error as Error).message})`,
      );
    }
  });
  return (name) => compiled.some((pattern) => pattern.test(name));
}

/** Keeps the draws of LoRA's start apart from those of training noise under the same seed. */
const LORA_KEY = 0x4c6f5241;
