/** TensorFlow.js with its WebGPU backend, on the benchmark's own device. It works channels-last, as we do. */
import type { Device } from '@dwm/core-tensor';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { type Block, HEAD_DIM, QK_EPS } from '../workloads/block.ts';
import { GROUP_NORM_EPS } from '../workloads/group-norm.ts';
import { familyOf, type Task } from '../workloads/index.ts';
import { LAYER_NORM_EPS } from '../workloads/layer-norm.ts';
import { RESNET_GROUPS, type Resnet } from '../workloads/resnet.ts';
import type { Implementation, Prepared } from './implementation.ts';
import { withPast } from './layout.ts';

let device: Device;
let backend: WebGPUBackend;

export const tfjs: Implementation = {
  name: 'tfjs webgpu',
  runsOn: 'shared',
  async load(shared) {
    device = shared;
    await import('@tensorflow/tfjs-backend-webgpu');
    await tf.setBackend('webgpu');
    await tf.ready();
    backend = tf.backend() as WebGPUBackend;
    if (backend.device !== device.gpu) throw new Error('opened a device of its own');
  },
  formulations: () => ['ops'],
  async prepare(task, _formulation, inputs, weights): Promise<Prepared> {
    const family = familyOf(task);
    const constants: Record<string, tf.Tensor> = {};
    for (const [name, shape] of Object.entries(family.weights(task)))
      constants[name] = tf.tensor(weights[name], [...shape]);
    const sets = inputs.map((set) => {
      const tensors: Record<string, tf.Tensor> = {};
      for (const [name, shape] of Object.entries(family.inputs(task))) {
        if (name === 'cache') continue;
        const past = task.op === 'conv' && set.cache;
        const [batch, frames, ...rest] = shape;
        tensors[name] = past
          ? tf.tensor(withPast(set[name], set.cache), [
              batch,
              frames + set.cache.length / (set.x.length / frames),
              ...rest,
            ])
          : tf.tensor(set[name], [...shape]);
      }
      return tensors;
    });
    let output: tf.Tensor | undefined;
    return {
      async run(set) {
        output?.dispose();
        output = tf.tidy(() => result(task, { ...sets[set], ...constants }));
        submit();
        await device.done();
      },
      read: async () => (await output!.data()) as Float32Array,
      async dispose() {
        output?.dispose();
        tf.dispose([...sets, constants]);
      },
    };
  },
};

/** tfjs submits when asked for data; this does it without a read-back. */
export function submit(): void {
  backend.endComputePassEncoder();
  backend.submitQueue();
}

/** The task in tfjs' ops. */
function result(task: Task, t: Record<string, tf.Tensor>): tf.Tensor {
  switch (task.op) {
    case 'matmul':
      if (!task.linear) return tf.matMul(t.a, t.b);
      return tf.fused.matMul({
        ...{ a: t.a as tf.Tensor2D, b: t.b as tf.Tensor2D, transposeB: true, bias: t.bias },
      });
    case 'attention': {
      const heads = (x: tf.Tensor) => tf.transpose(x, [0, 2, 1, 3]);
      const scores = tf.mul(tf.matMul(heads(t.q), heads(t.k), false, true), 1 / Math.sqrt(task.headDim));
      return heads(tf.matMul(tf.softmax(scores), heads(t.v)));
    }
    case 'conv': {
      if (task.kt === 1) {
        const x = tf.reshape<tf.Rank.R4>(t.x, [task.frames, task.height, task.width, task.inChannels]);
        const filter = tf.reshape<tf.Rank.R4>(t.weight, [3, 3, task.inChannels, task.outChannels]);
        return tf.fused.conv2d({ x, filter, strides: 1, pad: 'same', bias: t.bias });
      }
      // tfjs' WebGPU backend pads and adds in up to four dimensions only.
      const { kt, frames, height, width, inChannels, outChannels } = task;
      const clip = tf.reshape<tf.Rank.R4>(t.x, [frames + kt - 1, height, width, inChannels]);
      const padded = tf.reshape<tf.Rank.R5>(
        tf.pad(clip, [
          [0, 0],
          [1, 1],
          [1, 1],
          [0, 0],
        ]),
        [1, frames + kt - 1, height + 2, width + 2, inChannels],
      );
      const out = tf.conv3d(padded, t.weight as tf.Tensor5D, 1, 'valid');
      return tf.add(tf.reshape(out, [frames * height * width, outChannels]), t.bias);
    }
    case 'layerNorm': {
      const { mean, variance } = tf.moments(t.x, [1], true);
      const rstd = tf.rsqrt(tf.add(variance, LAYER_NORM_EPS));
      return tf.add(tf.mul(tf.mul(tf.sub(t.x, mean), rstd), t.gamma), t.beta);
    }
    case 'groupNorm': {
      const { positions, channels, groups } = task;
      const x = tf.reshape(t.x, [positions, groups, channels / groups]);
      const { mean, variance } = tf.moments(x, [0, 2], true);
      const normed = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, GROUP_NORM_EPS)));
      return tf.add(tf.mul(tf.reshape(normed, [1, positions, channels]), t.gamma), t.beta);
    }
    case 'softmax':
      return tf.softmax(t.x);
    case 'resnet':
      return resnet(task, t);
    case 'block':
      return block(task, t);
    case 'pointwise':
      switch (task.chain) {
        case 'gateResidual':
          return tf.add(t.x, tf.mul(t.gate, t.y));
        case 'modulate':
          return tf.add(tf.mul(t.x, tf.add(t.scale, 1)), t.shift);
        case 'gelu':
          return geluTanh(t.x);
        case 'siluMultiply':
          return tf.mul(tf.mul(t.x, tf.sigmoid(t.x)), t.y);
      }
  }
}

function geluTanh(x: tf.Tensor): tf.Tensor {
  const cube = tf.mul(tf.mul(tf.mul(x, x), x), 0.044715);
  const inner = tf.tanh(tf.mul(tf.add(x, cube), Math.sqrt(2 / Math.PI)));
  return tf.mul(tf.mul(x, 0.5), tf.add(inner, 1));
}

function resnet({ frames, height, width, channels }: Resnet, t: Record<string, tf.Tensor>): tf.Tensor {
  const positions = frames * height * width;
  const half = (x: tf.Tensor, i: number) => {
    const groups = tf.reshape(x, [positions, RESNET_GROUPS, channels / RESNET_GROUPS]);
    const { mean, variance } = tf.moments(groups, [0, 2], true);
    const normed = tf.mul(tf.sub(groups, mean), tf.rsqrt(tf.add(variance, GROUP_NORM_EPS)));
    const scaled = tf.add(tf.mul(tf.reshape(normed, [positions, channels]), t[`gamma${i}`]), t[`beta${i}`]);
    const active = tf.reshape<tf.Rank.R4>(tf.mul(scaled, tf.sigmoid(scaled)), [
      frames,
      height,
      width,
      channels,
    ]);
    const padded = tf.pad(active, [
      [0, 0],
      [1, 1],
      [1, 1],
      [0, 0],
    ]);
    const first = tf.slice(padded, 0, 1);
    const causal = tf.concat([first, first, padded], 0);
    const clip = tf.reshape<tf.Rank.R5>(causal, [1, frames + 2, height + 2, width + 2, channels]);
    const out = tf.conv3d(clip, t[`weight${i}`] as tf.Tensor5D, 1, 'valid');
    return tf.add(tf.reshape(out, [positions, channels]), t[`bias${i}`]);
  };
  return tf.add(tf.reshape(t.x, [positions, channels]), half(half(t.x, 1), 2));
}

/** One block of the transformer, `t.x` [tokens, dim]. */
export function block({ tokens, heads }: Block, t: Record<string, tf.Tensor>): tf.Tensor {
  const dense = (x: tf.Tensor, name: string) =>
    tf.fused.matMul({
      ...{
        a: x as tf.Tensor2D,
        b: t[`${name}.weight`] as tf.Tensor2D,
        transposeB: true,
        bias: t[`${name}.bias`],
      },
    });
  const norm = (x: tf.Tensor, name: string, eps: number) => {
    const { mean, variance } = tf.moments(x, [x.rank - 1], true);
    const normed = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps)));
    return tf.add(tf.mul(normed, t[`${name}.gamma`]), t[`${name}.beta`]);
  };
  const modulated = (x: tf.Tensor, name: string) =>
    tf.add(tf.mul(norm(x, name, LAYER_NORM_EPS), tf.add(t[`${name}.scale`], 1)), t[`${name}.shift`]);
  const split = (x: tf.Tensor) => tf.reshape(x, [tokens, heads, HEAD_DIM]);
  const swap = (x: tf.Tensor) => tf.transpose(x, [1, 0, 2]);
  const a = modulated(t.x, 'norm1');
  const q = swap(norm(split(dense(a, 'q')), 'normQ', QK_EPS));
  const k = swap(norm(split(dense(a, 'k')), 'normK', QK_EPS));
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(HEAD_DIM));
  const mixed = swap(tf.matMul(tf.softmax(scores), swap(split(dense(a, 'v')))));
  const attended = dense(tf.reshape(mixed, [tokens, heads * HEAD_DIM]), 'out');
  const h = tf.add(t.x, tf.mul(t['norm1.gate'], attended));
  const wide = geluTanh(dense(modulated(h, 'norm2'), 'wide'));
  return tf.add(h, tf.mul(t['norm2.gate'], dense(wide, 'narrow')));
}
