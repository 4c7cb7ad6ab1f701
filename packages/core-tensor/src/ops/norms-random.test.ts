/** Layer, root-mean-square and group norm at random odd shapes against float64. `DWM_SEED` changes the shapes. */
import { groupNormReference, layerNormReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { groupNorm } from './group-norm.ts';
import { layerNorm, rmsNorm } from './layer-norm.ts';
import { add, mul } from './pointwise.ts';
import { runOp, spec } from './testing.ts';

const device = await openNodeDevice();
const seed = Number(process.env.DWM_SEED ?? 20253);
console.log(`random norm shapes: DWM_SEED=${seed}`);

const eps = 1e-5;

test('layer norm, 200 random shapes', async () => {
  const random = seeded(seed);
  const upTo = (most: number) => 1 + Math.floor(random() ** 2 * most);
  for (let i = 0; i < 200; i++) {
    const [rows, channels] = [upTo(50), 4 + upTo(500)];
    const values = {
      x: randomNormals(rows * channels, random).map((v) => v + 3),
      gamma: randomNormals(channels, random),
      beta: randomNormals(channels, random),
    };
    const inputs = { x: spec([rows, channels]), gamma: spec([channels]), beta: spec([channels]) };
    const run = () =>
      runOp(device, inputs, values, (t) => ({
        layer: layerNorm(t.x, { eps, gamma: t.gamma, beta: t.beta }),
        rms: rmsNorm(t.x, { eps, gamma: t.gamma }),
      }));
    const got = await run();
    const { x, gamma, beta } = values;
    const where = `${rows} x ${channels}, seed ${seed}`;
    const layer = layerNormReference(x, channels, { eps, center: true, gamma, beta });
    expect(relativeError(got.layer, layer), where).toBeLessThanOrEqual(1e-6);
    const rms = layerNormReference(x, channels, { eps, center: false, gamma });
    expect(relativeError(got.rms, rms), where).toBeLessThanOrEqual(1e-6);
    if (i % 20 === 0) expect(await run()).toEqual(got);
  }
});

// Rows of a batch item that a subgroup's few rows do not divide, modulated each by their own vectors.
test.each([
  [3, 5, 128],
  [2, 7, 132],
  [4, 3, 257],
])('%i batch items of %i rows of %i, modulated', async (batch, rows, channels) => {
  const random = seeded(channels);
  const x = randomNormals(batch * rows * channels, random);
  const [scale, shift] = [0, 1].map(() => randomNormals(batch * channels, random));
  const inputs = {
    x: spec([batch, rows, channels]),
    scale: spec([batch, 1, channels]),
    shift: spec([batch, 1, channels]),
  };
  const { y } = await runOp(device, inputs, { x, scale, shift }, (t) => ({
    y: add(mul(layerNorm(t.x, { eps }), t.scale), t.shift),
  }));
  const want = layerNormReference(x, channels, { eps, center: true }).map((value, i) => {
    const at = Math.floor(i / (rows * channels)) * channels + (i % channels);
    return value * scale[at] + shift[at];
  });
  expect(relativeError(y, want)).toBeLessThanOrEqual(1e-6);
});

test('group norm, 200 random shapes', async () => {
  const random = seeded(seed + 1);
  const upTo = (most: number) => 1 + Math.floor(random() ** 2 * most);
  // A few widths and groups, each a pipeline, at many positions; so is each size of a batch of several.
  for (let family = 0; family < 10; family++) {
    const groups = upTo(9);
    const width = upTo(12);
    const channels = groups * width;
    for (let i = 0; i < 20; i++) {
      // Two positions of one channel may be as good as equal, which makes rounding large.
      const shape = { batch: i < 2 ? 1 + upTo(2) : 1, positions: 8 + upTo(600), channels, groups };
      const { batch, positions } = shape;
      const values = {
        x: randomNormals(batch * positions * channels, random).map((v) => v + 3),
        gamma: randomNormals(channels, random),
        beta: randomNormals(channels, random),
      };
      const inputs = {
        ...{ x: spec([batch, positions, channels]), gamma: spec([channels]), beta: spec([channels]) },
      };
      const run = () =>
        runOp(device, inputs, values, (t) => ({
          y: groupNorm(t.x, { groups, eps, gamma: t.gamma, beta: t.beta }),
        }));
      const { y } = await run();
      const want = groupNormReference(values.x, shape, eps, values.gamma, values.beta);
      expect(relativeError(y, want), `${JSON.stringify(shape)}, seed ${seed}`).toBeLessThanOrEqual(1e-6);
      if (i === 0) expect((await run()).y).toEqual(y);
    }
  }
});
