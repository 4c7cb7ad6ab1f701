/** The training step in TensorFlow.js: its gradients, and AdamW in its ops, for its own optimizers have no decay. */
import type { Device } from '@dwm/core-tensor';
import * as tf from '@tensorflow/tfjs-core';
import { build } from 'esbuild';
import type { Arrays, Shape } from '../workloads/index.ts';
import {
  ADAMW,
  batchShapes,
  movesOf,
  type TrainData,
  type TrainTask,
  weightShapes,
} from '../workloads/train.ts';
import type { Prepared } from './implementation.ts';
import { block, submit } from './tfjs.ts';

/**
 * tfjs' bundle for Node comes without gradients, and Node does not load its single files as they are: they import
 * folders. What they register goes to a registry that all copies of tfjs share.
 */
let registered: Promise<unknown> | undefined;
async function registerGradients(): Promise<void> {
  const { outputFiles } = await build({
    stdin: {
      contents: "import '@tensorflow/tfjs-core/dist/register_all_gradients.js';",
      resolveDir: import.meta.dirname,
    },
    ...{ bundle: true, write: false, format: 'esm', platform: 'browser', logLevel: 'silent' },
  });
  await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}

export async function trainTfjs(device: Device, task: TrainTask, data: TrainData): Promise<Prepared> {
  registered ??= registerGradients();
  await registered;
  const shapes = weightShapes(task);
  const names = Object.keys(shapes);
  const upload = (arrays: Arrays, shapesOf: Readonly<Record<string, Shape>>): Record<string, tf.Tensor> =>
    Object.fromEntries(
      Object.entries(shapesOf).map(([name, shape]) => [name, tf.tensor(arrays[name], [...shape])]),
    );
  const batches = data.batches.map((batch) => upload(batch, batchShapes(task)));
  const weights = upload(data.weights, shapes);
  const squares = upload(data.squares, shapes);
  const means = Object.fromEntries(names.map((name) => [name, tf.zeros([...shapes[name]])]));

  const { learningRate, beta1, beta2, eps, weightDecay, step } = ADAMW;
  const compute = ({ x, target }: Record<string, tf.Tensor>) => {
    const lossOf = (...trained: tf.Tensor[]) => {
      const named = Object.fromEntries(names.map((name, i) => [name, trained[i]]));
      const error = tf.sub(block({ op: 'block', ...task }, { x, ...named }), target);
      return tf.mul(tf.sum(tf.mul(error, error)), 1 / (2 * task.tokens));
    };
    const { value, grads } = tf.valueAndGrads(lossOf)(names.map((name) => weights[name]));
    const results: tf.Tensor[] = [value];
    for (const [i, g] of grads.entries()) {
      const nextM = tf.add(tf.mul(means[names[i]], beta1), tf.mul(g, 1 - beta1));
      const nextV = tf.add(tf.mul(squares[names[i]], beta2), tf.mul(tf.mul(g, g), 1 - beta2));
      const root = tf.add(tf.sqrt(tf.mul(nextV, 1 / (1 - beta2 ** step))), eps);
      const move = tf.mul(tf.div(nextM, root), learningRate / (1 - beta1 ** step));
      results.push(tf.sub(tf.mul(weights[names[i]], 1 - learningRate * weightDecay), move), nextM, nextV);
    }
    return results;
  };

  let outputs: tf.Tensor[] = [];
  return {
    async run(set) {
      tf.dispose(outputs);
      outputs = tf.tidy(() => compute(batches[set]));
      submit();
      await device.done();
    },
    async read() {
      const updated: Record<string, Float32Array> = {};
      for (const [i, name] of names.entries())
        updated[name] = (await outputs[1 + 3 * i].data()) as Float32Array;
      return movesOf(task, data, updated);
    },
    async dispose() {
      tf.dispose([outputs, weights, squares, means, batches]);
    },
  };
}
