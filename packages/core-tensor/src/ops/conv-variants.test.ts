/**
 * Every convolution variant, forced one by one, against float64: also those for hardware, which run here on whatever
 * device there is. `DWM_SEED` changes the random shapes.
 */
import {
  type ConvShape,
  type ConvSpec,
  convOutputShape,
  type DeviceCaps,
  elementCount,
  type Lowering,
} from '@dwm/kernels-wgsl';
import { identity } from '@dwm/kernels-wgsl/pointwise';
import { CONV_VARIANTS, convReference, lowerMatrixConv, matrixKernel } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { openNodeDevice } from '../node/index.ts';
import { record, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { runOp, spec } from './testing.ts';

const device = await openNodeDevice();
const seed = Number(process.env.DWM_SEED ?? 20252);
const random = seeded(seed);
console.log(`random convolution shapes: DWM_SEED=${seed}`);
const noF16 = !device.caps.features.f16;

type Lower = (spec: ConvSpec) => Lowering;

const specOf = (shape: ConvShape, precision: ConvSpec['precision']): ConvSpec => ({
  ...shape,
  ...{ weightDtype: 'f32', precision, outputDtype: 'f32' },
  fusion: identity([elementCount(convOutputShape(shape))]),
});

/** Relative error; checks that a second run gives the same bits. */
async function errorOf(
  shape: ConvShape,
  lower: Lower,
  precision: ConvSpec['precision'],
  on: Device = device,
): Promise<number> {
  const { batch, frames, height, width, inChannels, outChannels, kernel, cached } = shape;
  const outShape = convOutputShape(shape);
  const inputs = {
    x: spec([batch, frames, height, width, inChannels]),
    weight: spec([...kernel, inChannels, outChannels]),
    ...(cached && { cache: spec([batch, kernel[0] - 1, height, width, inChannels]) }),
  };
  const values: Record<string, Float32Array> = {};
  for (const [name, input] of Object.entries(inputs)) {
    values[name] = randomNormals(elementCount(input.shape), random);
  }
  const lowered = lower(specOf(shape, precision));
  const run = () =>
    runOp(on, inputs, values as never, (t) => ({
      out: record(
        {
          ...{ kind: 'kernel' as const, name: 'conv', cost: { flops: 1, bytes: 1 } },
          ...{ epilogue: false, bindings: 8, lower: () => lowered },
        },
        Object.values(t) as Tensor[],
        [spec(outShape)],
      )[0],
    }));
  const { out } = await run();
  expect((await run()).out).toEqual(out);
  return relativeError(out, convReference(shape, values.x, values.weight, values.cache));
}

const emulated =
  (caps: DeviceCaps = device.caps): Lower =>
  (convSpec) =>
    lowerMatrixConv(convSpec, caps, (sources) =>
      matrixKernel({ side: 1, buffers: 2 }, { M: 16, N: 16, K: 16 }, 32, true, sources),
    );

/** These capabilities, but of a GPU without subgroups. */
const gpuCaps: DeviceCaps = {
  ...device.caps,
  adapter: { ...device.caps.adapter, kind: 'hardware' },
  features: { ...device.caps.features, subgroups: false },
};

const variantOf = (name: string) => CONV_VARIANTS.find((each) => each.name === name)!;

/** The variant with its default tile, on this device, or else as on a GPU. */
const forced =
  (name: string): Lower =>
  (convSpec) => {
    const caps = [device.caps, gpuCaps].find((each) => variantOf(name).applies(convSpec, each))!;
    return variantOf(name).lower(convSpec, caps);
  };

const shapeOf = (more: Partial<ConvShape>): ConvShape => ({
  ...{
    batch: 1,
    frames: 2,
    height: 7,
    width: 9,
    inChannels: 8,
    outChannels: 24,
    kernel: [3, 3, 3],
    stride: 1,
  },
  padding: { top: 1, bottom: 1, left: 1, right: 1 },
  upsample: { time: 1, space: 1, keepFirst: false },
  cached: false,
  ...more,
});
const noPadding = { top: 0, bottom: 0, left: 0, right: 0 };

test.for([
  ['a clip', shapeOf({ batch: 2, frames: 3 })],
  ['with a cache', shapeOf({ batch: 2, frames: 3, cached: true, inChannels: 16 })],
  ['an image with a stride', shapeOf({ kernel: [1, 3, 2], stride: 2, padding: { ...noPadding, right: 1 } })],
  ['up-sampled', shapeOf({ kernel: [1, 3, 3], upsample: { time: 2, space: 2, keepFirst: true } })],
] as const)('matrix kernel without matrix units: %s', async ([, shape], { skip }) => {
  if (noF16) skip('the adapter has no f16');
  expect(await errorOf(shape, emulated(), 'f16')).toBeLessThan(1e-3);
});

test('matrix kernel: frames and rows larger than a binding, without bounds checks', async ({ skip }) => {
  if (noF16) skip('the adapter has no f16');
  const small = await openNodeDevice({ robustness: false, limits: { maxStorageBufferBindingSize: 32768 } });
  for (const more of [{ frames: 9 }, { height: 99, width: 28, frames: 2 }]) {
    for (const cached of [false, true]) {
      const shape = shapeOf({ cached, ...more });
      expect(await errorOf(shape, emulated(small.caps), 'f16', small)).toBeLessThan(1e-3);
    }
  }
  small.destroy();
});

// Compilers take long for the tiles of GPUs, so this is the smallest shape that fills them.
test.for([
  ['shared', device.caps, { outChannels: 16, height: 3 }],
  ['shared', device.caps, { outChannels: 5, stride: 2 }],
  ['plain', gpuCaps, { outChannels: 16, height: 3, inChannels: 4 }],
] as const)('every candidate of %s', { timeout: 240_000 }, async ([name, caps, more], { skip }) => {
  const shape = shapeOf({ kernel: [1, 2, 1], width: 13, ...more });
  const { applies, candidates, lower } = variantOf(name);
  if (!applies(specOf(shape, 'f32'), caps)) skip('the adapter has no lanes');
  const tiles = candidates!(specOf(shape, 'f32'), caps);
  expect(tiles.length).toBeGreaterThan(2);
  for (const tile of tiles) {
    const error = await errorOf(shape, (convSpec) => lower(convSpec, caps, tile), 'f32');
    expect(error, JSON.stringify(tile)).toBeLessThan(1e-6);
  }
});

interface Run {
  readonly lower: Lower;
  readonly shape: Partial<ConvShape>;
  readonly half?: true;
}

// Few, because lavapipe takes seconds to compile each: batch, frames, height and channels of x are free.
const RUNS: readonly Run[] = [
  { lower: forced('shared'), shape: { outChannels: 16 } },
  { lower: forced('shared'), shape: { outChannels: 5, kernel: [3, 3, 3], cached: true } },
  { lower: forced('shared'), shape: { outChannels: 8, kernel: [1, 3, 3], stride: 2, padding: noPadding } },
  { lower: forced('plain'), shape: { outChannels: 4, kernel: [1, 3, 3] } },
  { lower: emulated(), shape: { cached: true }, half: true },
];

test('200 random shapes', async () => {
  const upTo = (most: number) => 1 + Math.floor(random() ** 2 * most);
  const runs = RUNS.filter(({ half }) => !(half && noF16));
  for (let i = 0; i < 200; i++) {
    const { lower, shape: fixed, half } = runs[i % runs.length];
    const inChannels = half ? 8 * upTo(3) : upTo(12);
    const [height, width] = [2 + upTo(9), 4 + upTo(12)];
    const shape = shapeOf({ batch: upTo(2), frames: upTo(4), height, width, inChannels, ...fixed });
    const error = await errorOf(shape, lower, half ? 'f16' : 'f32');
    expect(error, `${JSON.stringify(shape)} run ${i % runs.length} seed ${seed}`).toBeLessThan(
      half ? 5e-3 : 1e-5,
    );
  }
});
