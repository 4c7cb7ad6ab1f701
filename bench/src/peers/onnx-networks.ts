/** The parts of the model as ONNX graphs: several kernels, so that what a runtime fuses counts too. */
import { type Block, HEAD_DIM, QK_EPS } from '../workloads/block.ts';
import { GROUP_NORM_EPS } from '../workloads/group-norm.ts';
import type { Arrays } from '../workloads/index.ts';
import { LAYER_NORM_EPS } from '../workloads/layer-norm.ts';
import { RESNET_GROUPS, type Resnet } from '../workloads/resnet.ts';
import { transpose } from './layout.ts';
import type { Attribute, OnnxNode, OnnxTensor } from './onnx-file.ts';
import type { OnnxFormulation } from './onnx-formulation.ts';

/** Appends nodes, each named by its number. */
class Nodes {
  readonly all: OnnxNode[] = [];

  add(op: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}): string {
    const output = `t${this.all.length}`;
    this.all.push({ op, inputs, output, attributes });
    return output;
  }

  /** Adds the last node, whose output is the graph's. */
  finish(op: string, inputs: readonly string[]): OnnxNode[] {
    return [...this.all, { op, inputs }];
  }
}

const floats = (data: Float32Array, shape: readonly number[] = [data.length]): OnnxTensor => ({
  shape,
  data,
});
const integers = (...data: number[]): OnnxTensor => ({ shape: [data.length], data });

export function blockGraph({ tokens, heads }: Block): OnnxFormulation {
  const dim = heads * HEAD_DIM;
  const nodes = new Nodes();
  const dense = (x: string, name: string) =>
    nodes.add('Add', [nodes.add('MatMul', [x, `${name}.weight`]), `${name}.bias`]);
  const norm = (x: string, name: string, eps: number) =>
    nodes.add('LayerNormalization', [x, `${name}.gamma`, `${name}.beta`], {
      axis: -1,
      epsilon: { float: eps },
    });
  const modulated = (x: string, name: string) =>
    nodes.add('Add', [nodes.add('Mul', [norm(x, name, LAYER_NORM_EPS), `${name}.scale`]), `${name}.shift`]);
  const split = (x: string) => nodes.add('Reshape', [x, 'split']);
  const swap = (x: string, ...perm: number[]) => nodes.add('Transpose', [x], { perm });
  const a = modulated('x', 'norm1');
  const q = swap(norm(split(dense(a, 'q')), 'normQ', QK_EPS), 0, 2, 1, 3);
  const k = swap(norm(split(dense(a, 'k')), 'normK', QK_EPS), 0, 2, 3, 1);
  const v = swap(split(dense(a, 'v')), 0, 2, 1, 3);
  const scores = nodes.add('Mul', [nodes.add('MatMul', [q, k]), 'attentionScale']);
  const mixed = swap(nodes.add('MatMul', [nodes.add('Softmax', [scores], { axis: -1 }), v]), 0, 2, 1, 3);
  const attended = dense(nodes.add('Reshape', [mixed, 'joint']), 'out');
  const h = nodes.add('Add', ['x', nodes.add('Mul', ['norm1.gate', attended])]);
  const wide = nodes.add('Gelu', [dense(modulated(h, 'norm2'), 'wide')], { approximate: 'tanh' });
  const gated = nodes.add('Mul', ['norm2.gate', dense(wide, 'narrow')]);
  return {
    inputs: { x: [tokens, dim] },
    output: [tokens, dim],
    nodes: nodes.finish('Add', [h, gated]),
    initializers(weights: Arrays) {
      const tensors: Record<string, OnnxTensor> = {
        split: integers(1, tokens, heads, HEAD_DIM),
        joint: integers(tokens, dim),
        attentionScale: { shape: [], data: Float32Array.of(1 / Math.sqrt(HEAD_DIM)) },
      };
      for (const [name, data] of Object.entries(weights)) {
        if (name.endsWith('.weight')) {
          const outputs = weights[name.replace('.weight', '.bias')].length;
          const inputs = data.length / outputs;
          tensors[name] = floats(transpose(data, [outputs, inputs], [1, 0]), [inputs, outputs]);
        } else tensors[name] = floats(name.endsWith('.scale') ? data.map((value) => 1 + value) : data);
      }
      return tensors;
    },
  };
}

export function resnetGraph({ frames, height, width, channels }: Resnet): OnnxFormulation {
  const shape = [1, channels, frames, height, width];
  const last = [1, frames, height, width, channels];
  const nodes = new Nodes();
  const half = (x: string, i: number) => {
    const groups = nodes.add('Reshape', [x, 'grouped']);
    const epsilon = { float: GROUP_NORM_EPS };
    const instance = nodes.add('InstanceNormalization', [groups, 'ones', 'zeros'], { epsilon });
    const flat = nodes.add('Reshape', [instance, 'whole']);
    const normed = nodes.add('Add', [nodes.add('Mul', [flat, `gamma${i}`]), `beta${i}`]);
    const active = nodes.add('Mul', [normed, nodes.add('Sigmoid', [normed])]);
    const first = nodes.add('Slice', [active, 'zero', 'one', 'frameAxis']);
    const causal = nodes.add('Concat', [first, first, active], { axis: 2 });
    const attributes = { kernel_shape: [3, 3, 3], pads: [0, 1, 1, 0, 1, 1] };
    return nodes.add('Conv', [causal, `weight${i}`, `bias${i}`], attributes);
  };
  const h = half(half('x', 1), 2);
  return {
    inputs: { x: shape },
    output: shape,
    nodes: nodes.finish('Add', ['x', h]),
    initializers(weights: Arrays) {
      const tensors: Record<string, OnnxTensor> = {
        grouped: integers(1, RESNET_GROUPS, -1),
        whole: integers(...shape),
        zero: integers(0),
        one: integers(1),
        frameAxis: integers(2),
        ones: floats(new Float32Array(RESNET_GROUPS).fill(1)),
        zeros: floats(new Float32Array(RESNET_GROUPS)),
      };
      for (const i of [1, 2]) {
        for (const name of [`gamma${i}`, `beta${i}`])
          tensors[name] = floats(weights[name], [1, channels, 1, 1, 1]);
        tensors[`bias${i}`] = floats(weights[`bias${i}`]);
        const weight = transpose(weights[`weight${i}`], [27, channels, channels], [2, 1, 0]);
        tensors[`weight${i}`] = floats(weight, [channels, channels, 3, 3, 3]);
      }
      return tensors;
    },
    feeds: ({ x }) => ({ x: transpose(x, last, [0, 4, 1, 2, 3]) }),
    result: (output) => transpose(output, shape, [0, 2, 3, 4, 1]),
  };
}
