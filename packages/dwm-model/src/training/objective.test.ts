import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile, type Device, elementCount, grad, randomReference, spec } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readTransformerConfig, transformerParameters } from '../transformer/index.ts';
import { batchSpecs } from './data/batch.ts';
import { dwmObjective, type ObjectiveInputs, type ObjectiveOptions } from './objective.ts';
import { PackedLayout } from './packed.ts';

const GOLDEN = join(import.meta.dirname, '../../tests/golden/pipeline_e2e/transformer/config.json');

type Counting = Required<Pick<ObjectiveOptions, 'changeWeight' | 'huberC'>>;

const CASES: readonly (Counting & { readonly name: string })[] = [
  { name: 'what differs from the static scene counts more', changeWeight: 5, huberC: 0 },
  { name: 'large errors count less', changeWeight: 0, huberC: 0.3 },
  { name: 'both', changeWeight: 5, huberC: 0.3 },
];

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

const normals = (count: number, stream: number) =>
  Float32Array.from(randomReference({ count, distribution: 'normal', stream }, [5, 6]));

test.each(CASES)('$name, in the loss and in its gradient', { timeout: 120_000 }, async (options) => {
  const json = JSON.parse(await readFile(GOLDEN, 'utf8'));
  const config = readTransformerConfig({ ...json, num_layers: 1 }, GOLDEN);
  const parameters = Object.entries(transformerParameters(config));
  const layout = new PackedLayout(Object.fromEntries(parameters.map(([name, { shape }]) => [name, shape])));
  const size = { channels: 16, frames: 2, height: 6, width: 4 };
  const inputs = batchSpecs(2, { size, config }, 3);

  const program = await compile(device, { ...inputs, theta: spec([layout.length]) }, ({ theta, ...rest }) => {
    const given = rest as unknown as ObjectiveInputs;
    const weights = {
      get: (name: string) => layout.part(theta, name),
      has: (name: string) => layout.parts.has(name),
    };
    const plain = dwmObjective(config, weights, 0.7, given);
    const { loss } = dwmObjective(config, weights, 0.7, given, options);
    return { plain: plain.loss, x0: plain.x0, loss, gradient: grad(loss, [theta])[0] };
  });

  const values = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }], i) => [name, normals(elementCount(shape), i)]),
  ) as { [K in keyof typeof inputs]: Float32Array };
  values.levels = Float32Array.of(0.6, 0.8, 1.5, 0.3, 0.95, 1.1);
  // The first half of each latent frame is as it was.
  const pixels = size.height * size.width;
  for (let i = 0; i < values.video.length; i++)
    values.static[i] = values.video[i] + (i % pixels < pixels / 2 ? 0 : 0.4 * values.static[i]);
  const theta = normals(layout.length, 20).map((value) => value / 10);

  /** Loss in float64 of what the network says. */
  const lossOf = (x0: ArrayLike<number>, { changeWeight, huberC }: Counting) => {
    const { video } = values;
    let sum = 0;
    for (let i = 0; i < x0.length; i++) {
      const image = Math.floor(i / (size.channels * pixels));
      let d = 0;
      for (let c = 0; c < size.channels; c++) {
        const at = (image * size.channels + c) * pixels + (i % pixels);
        d += (video[at] - values.static[at]) ** 2 / size.channels;
      }
      const level = values.levels[3 * Math.floor(image / size.frames) + 2];
      const error = x0[i] - video[i];
      const missed = huberC > 0 ? 2 * huberC * (Math.hypot(error, huberC) - huberC) : error ** 2;
      sum += level * missed * (1 + (changeWeight * d) / (d + 0.1));
    }
    return sum / x0.length;
  };
  const run = async (theta: Float32Array) => {
    await program.run({ ...values, theta } as never);
    const { plain, x0, loss, gradient } = program.outputs;
    return {
      plain: (await plain.read())[0],
      loss: (await loss.read())[0],
      x0: await x0.read(),
      gradient: await gradient.read(),
    };
  };
  const here = await run(theta);
  expect(Math.abs(here.plain / lossOf(here.x0, { changeWeight: 0, huberC: 0 }) - 1)).toBeLessThan(1e-5);
  expect(Math.abs(here.loss / lossOf(here.x0, options) - 1)).toBeLessThan(1e-5);
  if (options.huberC === 0) expect(here.loss).toBeGreaterThan(1.5 * here.plain);
  if (options.changeWeight === 0) expect(here.loss).toBeLessThan(0.8 * here.plain);

  const way = normals(layout.length, 21);
  const step = 1e-3;
  const at = async (sign: number) =>
    lossOf((await run(theta.map((value, i) => value + sign * step * way[i]))).x0, options);
  const slope = ((await at(1)) - (await at(-1))) / (2 * step);
  const expected = way.reduce((sum, value, i) => sum + value * here.gradient[i], 0);
  expect(Math.abs(slope / expected - 1)).toBeLessThan(5e-3);
});
