/**
 * The tasks as ONNX graphs, shared by both onnxruntimes. Where ONNX can say a task in several ways, or a backend
 * may prefer another layout, each way is a formulation of its own. Layouts are prepared on the host, outside the
 * time measured: a peer is never charged for our layouts.
 */
import type { Attention } from '../workloads/attention.ts';
import type { Conv } from '../workloads/conv.ts';
import { GROUP_NORM_EPS, type GroupNorm } from '../workloads/group-norm.ts';
import type { Arrays, Task } from '../workloads/index.ts';
import { LAYER_NORM_EPS } from '../workloads/layer-norm.ts';
import type { Matmul } from '../workloads/matmul.ts';
import type { Pointwise } from '../workloads/pointwise.ts';
import { transpose, withPast } from './layout.ts';
import type { OnnxGraph, OnnxNode, OnnxTensor } from './onnx-file.ts';
import type { OnnxFormulation } from './onnx-formulation.ts';
import { blockGraph, resnetGraph } from './onnx-networks.ts';

export const graphOf = (formulation: OnnxFormulation, weights: Arrays): OnnxGraph => ({
  ...formulation,
  initializers: formulation.initializers(weights),
});

export function onnxFormulations(task: Task): Readonly<Record<string, OnnxFormulation>> {
  switch (task.op) {
    case 'matmul':
      return matmul(task);
    case 'attention':
      return attention(task);
    case 'conv':
      return conv(task);
    case 'groupNorm':
      return groupNorm(task);
    case 'pointwise':
      return pointwise(task);
    case 'block':
      return { ops: blockGraph(task) };
    case 'resnet':
      return { ops: resnetGraph(task) };
    case 'layerNorm': {
      const { rows, channels } = task;
      return {
        LayerNormalization: {
          inputs: { x: [rows, channels] },
          output: [rows, channels],
          nodes: [
            {
              op: 'LayerNormalization',
              inputs: ['x', 'gamma', 'beta'],
              attributes: { axis: -1, epsilon: { float: LAYER_NORM_EPS } },
            },
          ],
          initializers: vectors(channels),
        },
      };
    }
    case 'softmax': {
      const shape = [task.rows, task.columns];
      const nodes = [{ op: 'Softmax', inputs: ['x'], attributes: { axis: -1 } }];
      return { Softmax: { inputs: { x: shape }, output: shape, nodes, initializers: () => ({}) } };
    }
  }
}

/** Every weight as a vector. */
const vectors =
  (size: number) =>
  (weights: Arrays): Record<string, OnnxTensor> =>
    Object.fromEntries(Object.entries(weights).map(([name, data]) => [name, { shape: [size], data }]));

const scalar = (value: number): OnnxTensor => ({ shape: [], data: Float32Array.of(value) });

function matmul({ m, k, n, linear }: Matmul): Record<string, OnnxFormulation> {
  const output = [m, n];
  if (!linear) {
    const nodes = [{ op: 'MatMul', inputs: ['a', 'b'] }];
    return { MatMul: { inputs: { a: [m, k], b: [k, n] }, output, nodes, initializers: () => ({}) } };
  }
  return {
    Gemm: {
      inputs: { a: [m, k] },
      output,
      nodes: [{ op: 'Gemm', inputs: ['a', 'b', 'bias'], attributes: { transB: 1 } }],
      initializers: ({ b, bias }) => ({ b: { shape: [n, k], data: b }, bias: { shape: [n], data: bias } }),
    },
    'MatMul + Add': {
      inputs: { a: [m, k] },
      output,
      nodes: [
        { op: 'MatMul', inputs: ['a', 'b'], output: 'product' },
        { op: 'Add', inputs: ['product', 'bias'] },
      ],
      initializers: ({ b, bias }) => ({
        b: { shape: [k, n], data: transpose(b, [n, k], [1, 0]) },
        bias: { shape: [n], data: bias },
      }),
    },
  };
}

function attention({ tokens, heads, headDim }: Attention): Record<string, OnnxFormulation> {
  const joint = [1, tokens, heads * headDim];
  const shape = [1, tokens, heads, headDim];
  const swap = (input: string, output: string | undefined, perm: number[]): OnnxNode => ({
    op: 'Transpose',
    inputs: [input],
    output,
    attributes: { perm },
  });
  return {
    MultiHeadAttention: {
      inputs: { q: joint, k: joint, v: joint },
      output: joint,
      nodes: [
        {
          op: 'MultiHeadAttention',
          inputs: ['q', 'k', 'v'],
          attributes: { num_heads: heads },
          domain: 'com.microsoft',
        },
      ],
      initializers: () => ({}),
    },
    'MatMul + Softmax': {
      inputs: { q: shape, k: shape, v: shape },
      output: shape,
      nodes: [
        swap('q', 'qh', [0, 2, 1, 3]),
        swap('k', 'kh', [0, 2, 3, 1]),
        swap('v', 'vh', [0, 2, 1, 3]),
        { op: 'MatMul', inputs: ['qh', 'kh'], output: 'scores' },
        { op: 'Mul', inputs: ['scores', 'scale'], output: 'scaled' },
        { op: 'Softmax', inputs: ['scaled'], output: 'weights', attributes: { axis: -1 } },
        { op: 'MatMul', inputs: ['weights', 'vh'], output: 'mixed' },
        swap('mixed', undefined, [0, 2, 1, 3]),
      ],
      initializers: () => ({ scale: scalar(1 / Math.sqrt(headDim)) }),
    },
  };
}

function conv({ kt, frames, height, width, inChannels, outChannels }: Conv): Record<string, OnnxFormulation> {
  // conv2d takes frames as its batch; conv3d one clip whose first frames are the cached ones.
  const flat = kt === 1;
  const lead = (channels: number, count: number) =>
    flat ? [count, height, width, channels] : [1, count, height, width, channels];
  const from = lead(inChannels, frames + kt - 1);
  const to = lead(outChannels, frames);
  const rank = from.length;
  const toFirst = [0, rank - 1, ...from.keys()].filter((d, i) => i < 2 || (d > 0 && d < rank - 1));
  const toLast = [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
  const first = (shape: readonly number[]) => toFirst.map((d) => shape[d]);
  const attributes = {
    kernel_shape: flat ? [3, 3] : [kt, 3, 3],
    pads: flat ? [1, 1, 1, 1] : [0, 1, 1, 0, 1, 1],
  };
  const initializers = ({ weight, bias }: Arrays) => ({
    weight: {
      shape: [outChannels, inChannels, ...attributes.kernel_shape],
      data: transpose(weight, [kt * 9, inChannels, outChannels], [2, 1, 0]),
    },
    bias: { shape: [outChannels], data: bias },
  });
  return {
    'Conv, channels first': {
      inputs: { x: first(from) },
      output: first(to),
      nodes: [{ op: 'Conv', inputs: ['x', 'weight', 'bias'], attributes }],
      initializers,
      feeds: ({ x, cache }) => ({ x: transpose(withPast(x, cache), from, toFirst) }),
      result: (output) => transpose(output, first(to), toLast),
    },
    // onnxruntime's own layout is channels last; it cancels these transpositions against those it adds.
    'Conv, channels last': {
      inputs: { x: from },
      output: to,
      nodes: [
        { op: 'Transpose', inputs: ['x'], output: 'first', attributes: { perm: toFirst } },
        { op: 'Conv', inputs: ['first', 'weight', 'bias'], output: 'conv', attributes },
        { op: 'Transpose', inputs: ['conv'], attributes: { perm: toLast } },
      ],
      initializers,
      feeds: ({ x, cache }) => ({ x: withPast(x, cache) }),
    },
  };
}

function groupNorm({ positions, channels, groups }: GroupNorm): Record<string, OnnxFormulation> {
  const shape = [1, channels, positions];
  const epsilon = { float: GROUP_NORM_EPS };
  const feeds = ({ x }: Arrays) => ({ x: transpose(x, [positions, channels], [1, 0]) });
  const result = (output: Float32Array) => transpose(output, [channels, positions], [1, 0]);
  return {
    GroupNormalization: {
      inputs: { x: shape },
      output: shape,
      nodes: [
        {
          op: 'GroupNormalization',
          inputs: ['x', 'gamma', 'beta'],
          attributes: { num_groups: groups, epsilon },
        },
      ],
      initializers: vectors(channels),
      ...{ feeds, result },
    },
    InstanceNormalization: {
      inputs: { x: shape },
      output: shape,
      nodes: [
        { op: 'Reshape', inputs: ['x', 'grouped'], output: 'groups' },
        {
          op: 'InstanceNormalization',
          inputs: ['groups', 'ones', 'zeros'],
          output: 'normed',
          attributes: { epsilon },
        },
        { op: 'Reshape', inputs: ['normed', 'whole'], output: 'flat' },
        { op: 'Mul', inputs: ['flat', 'gamma'], output: 'scaled' },
        { op: 'Add', inputs: ['scaled', 'beta'] },
      ],
      initializers: ({ gamma, beta }) => ({
        grouped: { shape: [3], data: [1, groups, -1] },
        whole: { shape: [3], data: shape },
        ones: { shape: [groups], data: new Float32Array(groups).fill(1) },
        zeros: { shape: [groups], data: new Float32Array(groups) },
        gamma: { shape: [1, channels, 1], data: gamma },
        beta: { shape: [1, channels, 1], data: beta },
      }),
      ...{ feeds, result },
    },
  };
}

function pointwise({ chain, rows, channels }: Pointwise): Record<string, OnnxFormulation> {
  const shape = [rows, channels];
  const one = (nodes: OnnxNode[], names = ['x']): OnnxFormulation => ({
    inputs: Object.fromEntries(names.map((name) => [name, shape])),
    output: shape,
    nodes,
    initializers: vectors(channels),
  });
  switch (chain) {
    case 'gateResidual': {
      const nodes = [
        { op: 'Mul', inputs: ['gate', 'y'], output: 'gated' },
        { op: 'Add', inputs: ['x', 'gated'] },
      ];
      return { 'Mul + Add': one(nodes, ['x', 'y']) };
    }
    case 'modulate': {
      // 1 + scale is of one row: folded while loading.
      const nodes = [
        { op: 'Mul', inputs: ['x', 'factor'], output: 'scaled' },
        { op: 'Add', inputs: ['scaled', 'shift'] },
      ];
      const initializers = ({ scale, shift }: Arrays) =>
        vectors(channels)({ factor: scale.map((value) => 1 + value), shift });
      return { 'Mul + Add': { ...one(nodes), initializers } };
    }
    case 'gelu':
      return {
        Gelu: one([{ op: 'Gelu', inputs: ['x'], attributes: { approximate: 'tanh' } }]),
        FastGelu: one([{ op: 'FastGelu', inputs: ['x'], domain: 'com.microsoft' }]),
      };
    case 'siluMultiply': {
      const nodes = (silu: OnnxNode[]) => [...silu, { op: 'Mul', inputs: ['silu', 'y'] }];
      const names = ['x', 'y'];
      return {
        QuickGelu: one(
          nodes([
            {
              ...{ op: 'QuickGelu', inputs: ['x'], output: 'silu', domain: 'com.microsoft' },
              attributes: { alpha: { float: 1 } },
            },
          ]),
          names,
        ),
        'Sigmoid + Mul': one(
          nodes([
            { op: 'Sigmoid', inputs: ['x'], output: 'sigmoid' },
            { op: 'Mul', inputs: ['x', 'sigmoid'], output: 'silu' },
          ]),
          names,
        ),
      };
    }
  }
}
