/** jax-js on the benchmark's own device; each task is one function under `jit`. Convolutions are channels-first. */
import type { Device } from '@dwm/core-tensor';
import type * as Jax from '@jax-js/jax';
import { type Block, HEAD_DIM, QK_EPS } from '../workloads/block.ts';
import { GROUP_NORM_EPS } from '../workloads/group-norm.ts';
import { type Arrays, familyOf, type Shape, type Task } from '../workloads/index.ts';
import { LAYER_NORM_EPS } from '../workloads/layer-norm.ts';
import { RESNET_GROUPS, type Resnet } from '../workloads/resnet.ts';
import type { Implementation, Prepared } from './implementation.ts';
import { transpose, withPast } from './layout.ts';

type JaxArray = Jax.numpy.Array;

let device: Device;
/** Once loaded. */
export let jax: typeof Jax;

export const jaxJs: Implementation = {
  name: 'jax-js webgpu',
  runsOn: 'shared',
  async load(shared) {
    device = shared;
    addIteratorHelpers();
    jax = await import('@jax-js/jax');
    const devices = await jax.init('webgpu');
    if (!devices.includes('webgpu')) throw new Error('found no WebGPU');
    jax.defaultDevice('webgpu');
    if (jax.getWebGPUDevice() !== device.gpu) throw new Error('opened a device of its own');
  },
  formulations: () => ['jit'],
  async prepare(task, _formulation, inputs, weights): Promise<Prepared> {
    const family = familyOf(task);
    const upload = (arrays: Arrays, shapes: Readonly<Record<string, Shape>>) =>
      Object.fromEntries(
        Object.entries(shapes).map(([name, shape]) => [
          name,
          jax.numpy.array(arrays[name] as Float32Array<ArrayBuffer>).reshape([...shape]),
        ]),
      );
    const host = (arrays: Arrays) => {
      if (task.op === 'conv') return channelsFirst(task, arrays);
      return task.op === 'resnet' ? resnetChannelsFirst(task, arrays) : arrays;
    };
    const sets = inputs.map((set) => upload(host(set), shapesOf(task, family.inputs(task))));
    const constants = upload(host(weights), shapesOf(task, family.weights(task)));
    const names = [...Object.keys(sets[0]), ...Object.keys(constants)];
    const compute = jax.jit((...values: JaxArray[]) =>
      result(task, Object.fromEntries(names.map((name, i) => [name, values[i]]))),
    );
    let output: JaxArray | undefined;
    return {
      async run(set) {
        output?.dispose();
        const values: Record<string, JaxArray> = { ...sets[set], ...constants };
        // A call uses its arguments up; `ref` keeps ours.
        output = compute(...names.map((name) => values[name].ref));
        await output.blockUntilReady();
        await device.done();
      },
      async read() {
        const data = (await output!.ref.data()) as Float32Array;
        if (task.op === 'resnet') {
          const { channels, frames, height, width } = task;
          return transpose(data, [channels, frames * height * width], [1, 0]);
        }
        if (task.op !== 'conv') return data;
        const { frames, height, width, outChannels } = task;
        return task.kt === 1
          ? transpose(data, [frames, outChannels, height * width], [0, 2, 1])
          : transpose(data, [outChannels, frames * height * width], [1, 0]);
      },
      async dispose() {
        output?.dispose();
        for (const arrays of [...sets, constants]) for (const array of Object.values(arrays)) array.dispose();
        compute.dispose();
      },
    };
  },
};

/** jax-js maps and filters iterators, which Node's 20 cannot yet. */
function addIteratorHelpers(): void {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
  if ('map' in prototype) return;
  function* map<T, U>(this: Iterable<T>, fn: (value: T) => U): Generator<U> {
    for (const value of this) yield fn(value);
  }
  function* filter<T>(this: Iterable<T>, keep: (value: T) => boolean): Generator<T> {
    for (const value of this) if (keep(value)) yield value;
  }
  for (const value of [map, filter])
    Object.defineProperty(prototype, value.name, { value, configurable: true, writable: true });
}

/** Shapes as jax-js is given them. */
function shapesOf(task: Task, shapes: Readonly<Record<string, Shape>>): Readonly<Record<string, Shape>> {
  if (task.op === 'resnet') {
    const { channels, frames, height, width } = task;
    const vector = [1, channels, 1, 1, 1];
    const of = (name: string): Shape => {
      if (name === 'x') return [1, channels, frames, height, width];
      return name.startsWith('weight') ? [channels, channels, 3, 3, 3] : vector;
    };
    return Object.fromEntries(Object.keys(shapes).map((name) => [name, of(name)]));
  }
  if (task.op !== 'conv') return shapes;
  const { kt, frames, height, width, inChannels, outChannels } = task;
  const flat = kt === 1;
  const own: Record<string, Shape> = {
    x: flat ? [frames, inChannels, height, width] : [1, inChannels, frames + kt - 1, height, width],
    weight: flat ? [outChannels, inChannels, 3, 3] : [outChannels, inChannels, kt, 3, 3],
    bias: flat ? [1, outChannels, 1, 1] : [1, outChannels, 1, 1, 1],
  };
  return Object.fromEntries(
    Object.keys(shapes)
      .filter((name) => name !== 'cache')
      .map((name) => [name, own[name]]),
  );
}

function channelsFirst(task: Task & { op: 'conv' }, { x, cache, weight, bias }: Arrays): Arrays {
  const { kt, frames, height, width, inChannels, outChannels } = task;
  if (weight) return { bias, weight: transpose(weight, [kt * 9, inChannels, outChannels], [2, 1, 0]) };
  return {
    x:
      kt === 1
        ? transpose(x, [frames, height * width, inChannels], [0, 2, 1])
        : transpose(withPast(x, cache), [(frames + kt - 1) * height * width, inChannels], [1, 0]),
  };
}

function resnetChannelsFirst({ frames, height, width, channels }: Resnet, arrays: Arrays): Arrays {
  const first = ([name, data]: [string, Float32Array]): [string, Float32Array] => {
    if (name === 'x') return [name, transpose(data, [frames * height * width, channels], [1, 0])];
    return [name, name.startsWith('weight') ? transpose(data, [27, channels, channels], [2, 1, 0]) : data];
  };
  return Object.fromEntries(Object.entries(arrays).map(first));
}

/** The task in jax-js' functions. An array is used up by the call that takes it, so `ref` marks a further use. */
function result(task: Task, { x, y, ...t }: Record<string, JaxArray>): JaxArray {
  const { numpy: np, nn, lax } = jax;
  switch (task.op) {
    case 'matmul':
      return task.linear ? np.matmul(t.a, np.matrixTranspose(t.b)).add(t.bias) : np.matmul(t.a, t.b);
    case 'attention':
      return nn.dotProductAttention(t.q, t.k, t.v);
    case 'conv': {
      const inSpace: [number, number] = [1, 1];
      const padding: [number, number][] = task.kt === 1 ? [inSpace, inSpace] : [[0, 0], inSpace, inSpace];
      return lax
        .conv(
          x,
          t.weight,
          padding.map(() => 1),
          padding,
        )
        .add(t.bias);
    }
    case 'layerNorm':
      return normalize(x, -1, LAYER_NORM_EPS).mul(t.gamma).add(t.beta);
    case 'groupNorm': {
      const { positions, channels, groups } = task;
      const grouped = x.reshape([positions, groups, channels / groups]);
      return normalize(grouped, [0, 2], GROUP_NORM_EPS)
        .reshape([1, positions, channels])
        .mul(t.gamma)
        .add(t.beta);
    }
    case 'softmax':
      return nn.softmax(x, -1);
    case 'resnet':
      return resnet(task, x, t);
    case 'block':
      return block(task, x, t);
    case 'pointwise':
      switch (task.chain) {
        case 'gateResidual':
          return x.add(t.gate.mul(y));
        case 'modulate':
          return x.mul(t.scale.add(1)).add(t.shift);
        case 'gelu':
          return nn.gelu(x, { approximate: true });
        case 'siluMultiply':
          return nn.silu(x).mul(y);
      }
  }
}

function normalize(value: JaxArray, axis: number | number[], eps: number): JaxArray {
  const { numpy: np } = jax;
  const centred = value.ref.sub(np.mean(value, axis, { keepdims: true }));
  const variance = np.mean(np.square(centred.ref), axis, { keepdims: true });
  return centred.mul(np.reciprocal(np.sqrt(variance.add(eps))));
}

function resnet(
  { frames, height, width, channels }: Resnet,
  x: JaxArray,
  t: Record<string, JaxArray>,
): JaxArray {
  const { numpy: np, nn, lax } = jax;
  const shape = [1, channels, frames, height, width];
  const half = (h: JaxArray, i: number) => {
    const normed = normalize(h.reshape([RESNET_GROUPS, -1]), 1, GROUP_NORM_EPS).reshape(shape);
    const active = nn.silu(normed.mul(t[`gamma${i}`]).add(t[`beta${i}`]));
    const first = active.ref.slice([], [], [0, 1]);
    const causal = np.concatenate([first.ref, first, active], 2);
    const padding: [number, number][] = [
      [0, 0],
      [1, 1],
      [1, 1],
    ];
    return lax.conv(causal, t[`weight${i}`], [1, 1, 1], padding).add(t[`bias${i}`]);
  };
  return x.ref.add(half(half(x, 1), 2));
}

/** One block of the transformer, `x` [tokens, dim]. */
export function block({ tokens, heads }: Block, x: JaxArray, t: Record<string, JaxArray>): JaxArray {
  const { numpy: np, nn } = jax;
  const dense = (h: JaxArray, name: string) =>
    np.matmul(h, np.matrixTranspose(t[`${name}.weight`])).add(t[`${name}.bias`]);
  const norm = (h: JaxArray, name: string, eps: number) =>
    normalize(h, -1, eps).mul(t[`${name}.gamma`]).add(t[`${name}.beta`]);
  const modulated = (h: JaxArray, name: string) =>
    norm(h, name, LAYER_NORM_EPS).mul(t[`${name}.scale`].add(1)).add(t[`${name}.shift`]);
  const split = (h: JaxArray) => h.reshape([1, tokens, heads, HEAD_DIM]);
  const a = modulated(x.ref, 'norm1');
  const attended = nn.dotProductAttention(
    norm(split(dense(a.ref, 'q')), 'normQ', QK_EPS),
    norm(split(dense(a.ref, 'k')), 'normK', QK_EPS),
    split(dense(a, 'v')),
  );
  const joint = attended.reshape([tokens, heads * HEAD_DIM]);
  const h = x.add(t['norm1.gate'].mul(dense(joint, 'out')));
  const wide = nn.gelu(dense(modulated(h.ref, 'norm2'), 'wide'), { approximate: true });
  return h.add(t['norm2.gate'].mul(dense(wide, 'narrow')));
}
