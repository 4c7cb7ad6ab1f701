import { compile, type Device, grad, randomReference, spec } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { relativeError } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CogVideoXVae, encodeWhole } from '../vae/index.ts';
import { encodeValues, normals, randomParameters, tinyConfig } from '../vae/testing.ts';
import type { Parameters } from '../weights/parameters.ts';
import { fullTrainable } from './trainable.ts';
import { type VaeObjective, type VaeObjectiveOptions, vaeObjective } from './vae-objective.ts';

let device: Device;
let parameters: Parameters;
beforeAll(async () => {
  device = await openNodeDevice();
  parameters = randomParameters(device);
});
afterAll(() => device?.destroy());

const OPTIONS: VaeObjectiveOptions = { distance: 'mse', klWeight: 0.1, gradientWeight: 0.5 };
/** Two stretches, so that gradients pass through the caches. */
const [FRAMES, HEIGHT, WIDTH] = [17, 4, 6];
const inputs = { video: spec([1, FRAMES, HEIGHT, WIDTH, 3]), noise: spec([1, 8 + 1, 2, 3, 5]) };
const values = {
  video: normals(FRAMES * HEIGHT * WIDTH * 3, 5).map(Math.tanh),
  noise: normals(9 * 2 * 3 * 5, 6),
};

test('the whole clip in one graph is what the stretches give one by one', async () => {
  const program = await compile(device, { video: inputs.video }, ({ video }) => ({
    out: encodeWhole(tinyConfig, parameters, video),
  }));
  await program.run({ video: values.video });
  const moments = (await program.outputs.out.read()) as Float32Array;
  program.destroy();
  const channelsFirst = (x: Float32Array, channels: number) => {
    const pixels = x.length / channels;
    return x.map((_, i) => x[(i % pixels) * channels + Math.floor(i / pixels)]);
  };
  const vae = new CogVideoXVae(device, tinyConfig, parameters);
  const video = channelsFirst(values.video, 3);
  const posterior = await encodeValues(vae, video, [1, 3, FRAMES, HEIGHT, WIDTH]);
  expect(relativeError(channelsFirst(moments, 10), posterior.moments)).toBeLessThan(1e-6);
});

test.each(['l1', 'mse'] as const)('%s: every term is what its formula says', async (distance) => {
  const program = await compile(device, inputs, (x): Record<string, VaeObjective[keyof VaeObjective]> => {
    const moments = encodeWhole(tinyConfig, parameters, x.video);
    return { ...vaeObjective(tinyConfig, parameters, x, { ...OPTIONS, distance }), moments };
  });
  await program.run(values);
  const read = async (name: string) => [...((await program.outputs[name].read()) as Float32Array)];
  const output = await read('output');
  const moments = await read('moments');
  const error = output.map((value, i) => value - values.video[i]);
  const size = (x: readonly number[]) =>
    x.reduce((sum, e) => sum + (distance === 'l1' ? Math.abs(e) : e * e), 0) / x.length;
  const strides = [HEIGHT * WIDTH * 3, WIDTH * 3, 3];
  const differences = strides.map((stride, d) => {
    const length = [FRAMES, HEIGHT, WIDTH][d];
    return error.flatMap((e, i) =>
      Math.floor(i / stride) % length < length - 1 ? [error[i + stride] - e] : [],
    );
  });
  const reconstruction = size(error);
  const gradient = differences.reduce((sum, d) => sum + size(d), 0) / 3;
  let kl = 0;
  let count = 0;
  for (let i = 0; i < moments.length; i++) {
    if (i % 10 >= 5) continue;
    kl += (moments[i] ** 2 + Math.exp(moments[i + 5]) - 1 - moments[i + 5]) / 2;
    count++;
  }
  kl /= count;
  for (const [name, want] of Object.entries({
    reconstruction,
    gradientDifference: gradient,
    kl,
    loss: reconstruction + 0.5 * gradient + 0.1 * kl,
  })) {
    const [got] = await read(name);
    expect(Math.abs(got - want) / want, name).toBeLessThan(2e-6);
  }
  program.destroy();
});

test('gradients against differences along random directions', async () => {
  const trainable = fullTrainable(parameters);
  const theta = await trainable.initial();
  const all = { ...inputs, theta: spec([trainable.layout.length]) };
  const program = await compile(device, all, (x) => {
    const { weights, trained } = trainable.bind(x.theta);
    const { loss } = vaeObjective(tinyConfig, weights, x, OPTIONS);
    const gradients = grad(loss, [...trained.values()]);
    const names = [...trained.keys()];
    return {
      loss,
      gradient: trainable.layout.pack(new Map(names.map((name, i) => [name, gradients[i]]))),
    };
  });
  const lossAt = async (at: Float32Array) => {
    await program.run({ ...values, theta: at });
    return ((await program.outputs.loss.read()) as Float32Array)[0];
  };
  await lossAt(theta);
  const gradient = (await program.outputs.gradient.read()) as Float32Array;
  // A direction for the encoder and one for the decoder, each tensor moved relative to its size.
  for (const [part, seed] of [
    ['encoder', 1],
    ['decoder', 2],
  ] as const) {
    const direction = new Float32Array(theta.length);
    let analytic = 0;
    for (const [name, { offset }] of trainable.layout.parts) {
      if (!name.startsWith(part)) continue;
      const own = trainable.layout.values(theta, name);
      const size = Math.hypot(...own) / Math.sqrt(own.length);
      const signs = randomReference({ count: own.length, distribution: 'normal', stream: offset }, [seed, 9]);
      for (let i = 0; i < own.length; i++) {
        direction[offset + i] = size * signs[i];
        analytic += direction[offset + i] * gradient[offset + i];
      }
    }
    const h = 2e-3;
    const at = (steps: number) => lossAt(theta.map((value, i) => value + steps * h * direction[i]));
    const near = (await at(1)) - (await at(-1));
    const far = (await at(2)) - (await at(-2));
    const difference = (8 * near - far) / (12 * h);
    expect(Math.abs(analytic - difference) / Math.abs(difference), part).toBeLessThan(5e-3);
  }
  program.destroy();
}, 300_000);
