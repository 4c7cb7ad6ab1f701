/** Ours: one compiled program for each task, through the public ops. */
import {
  add,
  attention,
  compile,
  conv3d,
  type Device,
  DeviceTensor,
  geluTanh,
  groupNorm,
  layerNorm,
  linear,
  matmul,
  mul,
  parameter,
  reshape,
  silu,
  softmax,
  spec,
  type Tensor,
} from '@dwm/core-tensor';
import { type Block, HEAD_DIM, QK_EPS } from '../workloads/block.ts';
import { GROUP_NORM_EPS } from '../workloads/group-norm.ts';
import { type Arrays, familyOf, type Shape, type Task } from '../workloads/index.ts';
import { LAYER_NORM_EPS } from '../workloads/layer-norm.ts';
import { RESNET_GROUPS } from '../workloads/resnet.ts';
import type { Implementation, Prepared } from './implementation.ts';

let device: Device;

export const dwm: Implementation = {
  name: 'dwm',
  runsOn: 'shared',
  async load(shared) {
    device = shared;
  },
  formulations: () => ['dwm'],
  async prepare(task, _formulation, inputs, weights): Promise<Prepared> {
    const family = familyOf(task);
    const upload = (arrays: Arrays, shapes: Readonly<Record<string, Shape>>) =>
      Object.fromEntries(
        Object.entries(shapes).map(([name, shape]) => [
          name,
          DeviceTensor.from(device, arrays[name], shape, 'f32', name),
        ]),
      );
    const shapes = family.inputs(task);
    const sets = inputs.map((set) => upload(set, shapes));
    const constants = upload(weights, family.weights(task));
    const parameters = Object.fromEntries(
      Object.entries(constants).map(([name, tensor]) => [name, parameter(tensor)]),
    );
    const specs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, spec(shape)]));
    const program = await compile(device, specs, (tensors) => ({
      out: result(task, { ...tensors, ...parameters }),
    }));
    return {
      async run(set) {
        await program.run(sets[set]);
        await device.done();
      },
      async read() {
        return (await program.outputs.out.read()) as Float32Array;
      },
      async dispose() {
        program.destroy();
        for (const tensors of [...sets, constants])
          for (const tensor of Object.values(tensors)) tensor.destroy();
      },
    };
  },
};

/** The task in our ops. */
function result(task: Task, { x, y, ...t }: Record<string, Tensor>): Tensor {
  switch (task.op) {
    case 'matmul':
      return task.linear ? linear(t.a, t.b, t.bias) : matmul(t.a, t.b);
    case 'attention':
      return attention(t.q, t.k, t.v);
    case 'conv': {
      const padding = { top: 1, bottom: 1, left: 1, right: 1 };
      return add(conv3d(x, t.weight, { padding, cache: t.cache }), t.bias);
    }
    case 'layerNorm':
      return layerNorm(x, { eps: LAYER_NORM_EPS, gamma: t.gamma, beta: t.beta });
    case 'groupNorm':
      return groupNorm(x, { groups: task.groups, eps: GROUP_NORM_EPS, gamma: t.gamma, beta: t.beta });
    case 'softmax':
      return softmax(x);
    case 'resnet': {
      const padding = { top: 1, bottom: 1, left: 1, right: 1 };
      const half = (h: Tensor, i: number) => {
        const [gamma, beta] = [t[`gamma${i}`], t[`beta${i}`]];
        const normed = groupNorm(h, { groups: RESNET_GROUPS, eps: GROUP_NORM_EPS, gamma, beta });
        return add(conv3d(silu(normed), t[`weight${i}`], { padding }), t[`bias${i}`]);
      };
      return add(x, half(half(x, 1), 2));
    }
    case 'block':
      return block(task, x, t);
    case 'pointwise':
      switch (task.chain) {
        case 'gateResidual':
          return add(x, mul(t.gate, y));
        case 'modulate':
          return add(mul(x, add(t.scale, 1)), t.shift);
        case 'gelu':
          return geluTanh(x);
        case 'siluMultiply':
          return mul(silu(x), y);
      }
  }
}

/** One block of the transformer, `x` [tokens, dim]. */
export function block({ tokens, heads }: Block, x: Tensor, t: Record<string, Tensor>): Tensor {
  const dense = (h: Tensor, name: string) => linear(h, t[`${name}.weight`], t[`${name}.bias`]);
  const norm = (h: Tensor, name: string, eps: number) =>
    layerNorm(h, { eps, gamma: t[`${name}.gamma`], beta: t[`${name}.beta`] });
  const modulated = (h: Tensor, name: string) =>
    add(mul(norm(h, name, LAYER_NORM_EPS), add(t[`${name}.scale`], 1)), t[`${name}.shift`]);
  const split = (h: Tensor) => reshape(h, [1, tokens, heads, HEAD_DIM]);
  const a = modulated(x, 'norm1');
  const attended = attention(
    norm(split(dense(a, 'q')), 'normQ', QK_EPS),
    norm(split(dense(a, 'k')), 'normK', QK_EPS),
    split(dense(a, 'v')),
  );
  const h = add(x, mul(t['norm1.gate'], dense(reshape(attended, x.shape), 'out')));
  const wide = geluTanh(dense(modulated(h, 'norm2'), 'wide'));
  return add(h, mul(t['norm2.gate'], dense(wide, 'narrow')));
}
