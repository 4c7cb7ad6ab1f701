/** TensorFlow.js with its WebGPU backend, on the benchmark's own device. It works channels-last, as we do. */
import type { Device } from '@dwm/core-tensor';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { GROUP_NORM_EPS } from '../workloads/group-norm.ts';
import { familyOf, type Task } from '../workloads/index.ts';
import { LAYER_NORM_EPS } from '../workloads/layer-norm.ts';
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
        // tfjs submits when asked for data; these two do it without a read-back.
        backend.endComputePassEncoder();
        backend.submitQueue();
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
    case 'pointwise':
      switch (task.chain) {
        case 'gateResidual':
          return tf.add(t.x, tf.mul(t.gate, t.y));
        case 'modulate':
          return tf.add(tf.mul(t.x, tf.add(t.scale, 1)), t.shift);
        case 'gelu': {
          const cube = tf.mul(tf.mul(tf.mul(t.x, t.x), t.x), 0.044715);
          const inner = tf.tanh(tf.mul(tf.add(t.x, cube), Math.sqrt(2 / Math.PI)));
          return tf.mul(tf.mul(t.x, 0.5), tf.add(inner, 1));
        }
        case 'siluMultiply':
          return tf.mul(tf.mul(t.x, tf.sigmoid(t.x)), t.y);
      }
  }
}
