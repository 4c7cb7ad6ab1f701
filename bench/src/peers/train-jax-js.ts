/** The training step in jax-js: `valueAndGrad` and AdamW by the book, all of it one function under `jit`. */
import type { Device } from '@dwm/core-tensor';
import type * as Jax from '@jax-js/jax';
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
import { block, jax } from './jax-js.ts';

type JaxArray = Jax.numpy.Array;
type Named = Record<string, JaxArray>;

export function trainJaxJs(device: Device, task: TrainTask, data: TrainData): Prepared {
  const shapes = weightShapes(task);
  const names = Object.keys(shapes);
  const upload = (arrays: Arrays, shapesOf: Readonly<Record<string, Shape>>): Named =>
    Object.fromEntries(
      Object.entries(shapesOf).map(([name, shape]) => [
        name,
        jax.numpy.array(arrays[name] as Float32Array<ArrayBuffer>).reshape([...shape]),
      ]),
    );
  const batches = data.batches.map((batch) => upload(batch, batchShapes(task)));
  const weights = upload(data.weights, shapes);
  const squares = upload(data.squares, shapes);
  const means = upload(
    Object.fromEntries(names.map((name) => [name, new Float32Array(data.weights[name].length)])),
    shapes,
  );
  const state = [weights, means, squares].flatMap((values) => names.map((name) => values[name]));

  const { learningRate, beta1, beta2, eps, weightDecay, step } = ADAMW;
  const [firstScale, secondScale] = [1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step)];
  const compute = jax.jit((x: JaxArray, target: JaxArray, ...values: JaxArray[]) => {
    const part = (at: number) => values.slice(at * names.length, (at + 1) * names.length);
    const [theta, m, v] = [part(0), part(1), part(2)];
    const lossOf = (...trained: JaxArray[]) => {
      const named = Object.fromEntries(names.map((name, i) => [name, trained[i]]));
      const error = block({ op: 'block', ...task }, x, named).sub(target);
      return jax.numpy.sum(jax.numpy.square(error)).mul(1 / (2 * task.tokens));
    };
    const argnums = names.map((_, i) => i);
    const [loss, gradients] = jax.valueAndGrad(lossOf, { argnums })(...theta.map((value) => value.ref));
    const results: JaxArray[] = [loss];
    for (const [i, g] of (gradients as unknown as JaxArray[]).entries()) {
      const nextM = m[i].mul(beta1).add(g.ref.mul(1 - beta1));
      const nextV = v[i].mul(beta2).add(jax.numpy.square(g).mul(1 - beta2));
      const root = jax.numpy.sqrt(nextV.ref.mul(secondScale)).add(eps);
      const move = nextM.ref.mul(firstScale).div(root).mul(learningRate);
      results.push(theta[i].mul(1 - learningRate * weightDecay).sub(move), nextM, nextV);
    }
    return results;
  });

  let outputs: JaxArray[] = [];
  return {
    async run(set) {
      for (const output of outputs) output.dispose();
      // A call uses its arguments up; `ref` keeps ours.
      outputs = compute(batches[set].x.ref, batches[set].target.ref, ...state.map((value) => value.ref));
      for (const output of outputs) await output.blockUntilReady();
      await device.done();
    },
    async read() {
      const updated: Record<string, Float32Array> = {};
      for (const [i, name] of names.entries())
        updated[name] = (await outputs[1 + 3 * i].ref.data()) as Float32Array;
      return movesOf(task, data, updated);
    },
    async dispose() {
      for (const array of [...outputs, ...state, ...batches.flatMap((batch) => Object.values(batch))])
        array.dispose();
      compute.dispose();
    },
  };
}
