/**
 * Our training step, as `dwm train` does it: weights and moments in one packed tensor each, gradient and AdamW in
 * one program. Beside it the parts that it is made of, for the time of the backward pass.
 */
import {
  compile,
  type Device,
  DeviceTensor,
  grad,
  mul,
  type Program,
  spec,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import { adamw, adamwScalars, PackedLayout } from '@dwm/dwm-model/parts';
import {
  ADAMW,
  batchShapes,
  movesOf,
  type TrainData,
  type TrainTask,
  weightShapes,
} from '../workloads/train.ts';
import { block } from './dwm.ts';
import type { Prepared } from './implementation.ts';

const OPTIONS = { ...ADAMW, maxGradNorm: Number.POSITIVE_INFINITY };

export interface Parts {
  /** One step; `read` gives how far it moved the weights. */
  readonly step: Prepared;
  /** The loss alone; `read` gives it. */
  readonly forward: Prepared;
  /** Loss and gradients; `read` gives the loss. */
  readonly gradient: Prepared;
}

export async function trainDwm(device: Device, task: TrainTask, data: TrainData): Promise<Parts> {
  const shapes = weightShapes(task);
  const layout = new PackedLayout(shapes);
  const packed = (values: (name: string) => ArrayLike<number>) => {
    const host = new Float32Array(layout.length);
    for (const name of Object.keys(shapes)) layout.values(host, name).set(values(name));
    return DeviceTensor.from(device, host, [layout.length], 'f32');
  };
  const state = {
    theta: packed((name) => data.weights[name]),
    m: packed(() => []),
    v: packed((name) => data.squares[name]),
    scalars: DeviceTensor.from(device, adamwScalars(ADAMW.step, ADAMW.learningRate, OPTIONS), [3], 'f32'),
  };
  const inputs = batchShapes(task);
  const batches = data.batches.map((batch) =>
    Object.fromEntries(
      Object.entries(inputs).map(([name, shape]) => [
        name,
        DeviceTensor.from(device, batch[name], shape, 'f32'),
      ]),
    ),
  ) as { x: DeviceTensor; target: DeviceTensor }[];

  const flat = spec([layout.length]);
  const given = { x: spec(inputs.x), target: spec(inputs.target), theta: flat };
  const lossOf = ({ x, target, theta }: Record<'x' | 'target' | 'theta', Tensor>) => {
    const weights = new Map(Object.keys(shapes).map((name) => [name, layout.part(theta, name)]));
    const error = sub(block({ op: 'block', ...task }, x, Object.fromEntries(weights)), target);
    const total = sum(mul(error, error), [0, 1]);
    return { weights, loss: mul(total, 1 / (2 * task.tokens)) };
  };
  const gradientOf = (tensors: Record<'x' | 'target' | 'theta', Tensor>) => {
    const { weights, loss } = lossOf(tensors);
    const gradients = grad(loss, [...weights.values()]);
    return {
      loss,
      gradient: layout.pack(new Map([...weights.keys()].map((name, i) => [name, gradients[i]]))),
    };
  };

  const forward = await compile(device, given, (tensors) => ({ loss: lossOf(tensors).loss }));
  const gradient = await compile(device, given, gradientOf);
  const step = await compile(device, { ...given, m: flat, v: flat, scalars: spec([3]) }, (tensors) => {
    const { loss, gradient } = gradientOf(tensors);
    return { loss, ...adamw(tensors, gradient, tensors.scalars, OPTIONS) };
  });
  let open = 3;
  const prepared = <I extends Record<string, TensorSpec>, O extends { loss: Tensor }>(
    program: Program<I, O>,
    read: () => Promise<Float32Array>,
  ): Prepared => ({
    async run(set) {
      await program.run({ ...state, ...batches[set] } as never);
      await device.done();
    },
    read,
    async dispose() {
      program.destroy();
      if (--open > 0) return;
      for (const tensors of [state, ...batches])
        for (const tensor of Object.values<DeviceTensor>(tensors)) tensor.destroy();
    },
  });
  return {
    step: prepared(step, async () => {
      const updated = (await step.outputs.theta.read()) as Float32Array;
      return movesOf(
        task,
        data,
        Object.fromEntries(Object.keys(shapes).map((name) => [name, layout.values(updated, name)])),
      );
    }),
    forward: prepared(forward, async () => (await forward.outputs.loss.read()) as Float32Array),
    gradient: prepared(gradient, async () => (await gradient.outputs.loss.read()) as Float32Array),
  };
}
