import type { SafetensorsTensor } from '@dwm/core-tensor/files';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, describe, expect, test } from 'vitest';
import { Lpips } from './lpips.ts';
import { convsOf, LAYERS, LPIPS_NETWORKS, type LpipsNetwork, tapChannels } from './networks.ts';

const device = await openNodeDevice();
afterAll(() => device.destroy());

let state = 7;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

/** Made-up weights, of a size that keeps features from vanishing. */
function madeUp(network: LpipsNetwork) {
  const backbone = new Map<string, SafetensorsTensor>();
  const linear = new Map<string, SafetensorsTensor>();
  const put = (into: Map<string, SafetensorsTensor>, name: string, shape: number[], value: () => number) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, value);
    into.set(name, { dtype: 'F32', shape, data });
  };
  for (const { name, in: from, out, size } of LAYERS[network].flatMap(convsOf)) {
    const spread = Math.sqrt(24 / (from * size * size));
    put(backbone, `${name}.weight`, [out, from, size, size], () => (random() - 0.5) * spread);
    put(backbone, `${name}.bias`, [out], () => (random() - 0.5) * 0.2);
  }
  tapChannels(network).forEach((channels, i) => {
    put(linear, `lin${i}.model.1.weight`, [1, channels, 1, 1], random);
  });
  return { backbone: { name: 'net.pth', tensors: backbone }, linear: { name: 'lin.pth', tensors: linear } };
}

type Planes = { data: Float64Array; channels: number; height: number; width: number };

/** PyTorch's definitions, channel by channel in double precision; stride 4 is really taken here. */
function reference(
  network: LpipsNetwork,
  weights: ReturnType<typeof madeUp>,
  image: Float32Array,
  height: number,
  width: number,
): Planes[] {
  const shift = [-0.03, -0.088, -0.188];
  const scale = [0.458, 0.448, 0.45];
  let x: Planes = { data: new Float64Array(image.length), channels: 3, height, width };
  for (let i = 0; i < image.length; i++)
    x.data[(i % 3) * height * width + Math.floor(i / 3)] = (2 * image[i] - 1 - shift[i % 3]) / scale[i % 3];
  const conv = (
    from: Planes,
    { name, size, out, stride, padding }: ReturnType<typeof convsOf>[number],
  ): Planes => {
    const w = weights.backbone.tensors.get(`${name}.weight`)!.data as Float32Array;
    const b = weights.backbone.tensors.get(`${name}.bias`)!.data as Float32Array;
    const rows = Math.floor((from.height + 2 * padding - size) / stride) + 1;
    const columns = Math.floor((from.width + 2 * padding - size) / stride) + 1;
    const data = new Float64Array(out * rows * columns);
    for (let o = 0, at = 0; o < out; o++)
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++, at++) {
          let total = b[o];
          for (let i = 0; i < from.channels; i++)
            for (let ky = 0; ky < size; ky++) {
              const y = r * stride - padding + ky;
              if (y < 0 || y >= from.height) continue;
              for (let kx = 0; kx < size; kx++) {
                const xx = c * stride - padding + kx;
                if (xx < 0 || xx >= from.width) continue;
                total +=
                  w[((o * from.channels + i) * size + ky) * size + kx] *
                  from.data[(i * from.height + y) * from.width + xx];
              }
            }
          data[at] = Math.max(0, total);
        }
    return { data, channels: out, height: rows, width: columns };
  };
  const taps: Planes[] = [];
  for (const layer of LAYERS[network]) {
    if (layer.kind === 'conv') x = conv(x, layer);
    else if (layer.kind === 'fire') {
      const squeezed = conv(x, layer.squeeze);
      const [one, three] = layer.expand.map((expand) => conv(squeezed, expand));
      x = {
        ...one,
        channels: one.channels + three.channels,
        data: Float64Array.of(...one.data, ...three.data),
      };
    } else {
      const round = layer.ceil ? Math.ceil : Math.floor;
      const rows = round((x.height - layer.kernel) / 2) + 1;
      const columns = round((x.width - layer.kernel) / 2) + 1;
      const data = new Float64Array(x.channels * rows * columns).fill(-Infinity);
      for (let i = 0, at = 0; i < x.channels; i++)
        for (let r = 0; r < rows; r++)
          for (let c = 0; c < columns; c++, at++)
            for (let y = 2 * r; y < Math.min(x.height, 2 * r + layer.kernel); y++)
              for (let xx = 2 * c; xx < Math.min(x.width, 2 * c + layer.kernel); xx++)
                data[at] = Math.max(data[at], x.data[(i * x.height + y) * x.width + xx]);
      x = { data, channels: x.channels, height: rows, width: columns };
    }
    if (layer.tap) taps.push(x);
  }
  return taps;
}

function referenceDistance(weights: ReturnType<typeof madeUp>, a: Planes[], b: Planes[]): number {
  return a.reduce((total, layer, l) => {
    const lin = weights.linear.tensors.get(`lin${l}.model.1.weight`)!.data as Float32Array;
    const pixels = layer.height * layer.width;
    let sum = 0;
    for (let p = 0; p < pixels; p++) {
      const length = (planes: Planes) => {
        let squares = 0;
        for (let c = 0; c < layer.channels; c++) squares += planes.data[c * pixels + p] ** 2;
        return Math.sqrt(squares) + 1e-10;
      };
      const [la, lb] = [length(layer), length(b[l])];
      for (let c = 0; c < layer.channels; c++)
        sum += lin[c] * (layer.data[c * pixels + p] / la - b[l].data[c * pixels + p] / lb) ** 2;
    }
    return total + sum / pixels;
  }, 0);
}

/** Odd sizes, so that pools have edges to hang over. */
const SIZES = { vgg: [19, 23], alex: [37, 42], squeeze: [26, 31] } as const;

describe.each(LPIPS_NETWORKS)('%s', (network) => {
  const [height, width] = SIZES[network];
  const weights = madeUp(network);
  const image = () => Float32Array.from({ length: height * width * 3 }, random);

  test('distance on made-up weights is that of float64', async () => {
    const lpips = Lpips.load(device, network, weights.backbone, weights.linear);
    const [a, b] = [image(), image()];
    const got = await lpips.distance(a, b, height, width);
    const of = (x: Float32Array) => reference(network, weights, x, height, width);
    const want = referenceDistance(weights, of(a), of(b));
    expect(want).toBeGreaterThan(0.01);
    expect(Math.abs(got - want) / want).toBeLessThan(1e-5);
    expect(await lpips.distance(a, a, height, width)).toBe(0);
    lpips.destroy();
  }, 240_000);

  test('a weight that is missing or misshapen is named', () => {
    const [first] = LAYERS[network].flatMap(convsOf);
    const without = new Map(weights.backbone.tensors);
    without.delete(`${first.name}.bias`);
    const load = (tensors: Map<string, SafetensorsTensor>) => () =>
      Lpips.load(device, network, { name: 'net.pth', tensors }, weights.linear);
    expect(load(without)).toThrow(/^net\.pth: features\.0\.bias is missing/);
    const wrong = new Map(weights.backbone.tensors);
    wrong.set(`${first.name}.bias`, { dtype: 'F32', shape: [2], data: new Float32Array(2) });
    expect(load(wrong)).toThrow(/features\.0\.bias: expected \[64\], got \[2\]/);
  });
});

test('pictures that leave a layer nothing are refused', async () => {
  const { backbone, linear } = madeUp('alex');
  const lpips = Lpips.load(device, 'alex', backbone, linear);
  const small = new Float32Array(30 * 40 * 3);
  await expect(lpips.distance(small, small, 30, 40)).rejects.toThrow(/31 pixels each way or more, got 40x30/);
  lpips.destroy();
});
