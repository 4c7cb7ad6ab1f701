import { DeviceTensor } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { compositeStatic } from './composite.ts';
import { normals } from './noise.ts';

const size = { frames: 2, height: 7, width: 11 };
const pixels = size.height * size.width;
/** The VAE makes more frames than it was given. */
const MADE = 3;

const device = await openNodeDevice();

let drawn = 0;
/** Uniform in -scale to scale; videos are [frames, height, width, 3]. */
const random = (length: number, scale: number) =>
  Float32Array.from(normals(1, ++drawn, length), (value) => scale * Math.max(-1, Math.min(1, value / 2)));

async function composited(
  generated: Float32Array,
  decoded: Float32Array,
  still: Float32Array,
  sigma: number,
): Promise<Float32Array> {
  const up = (values: Float32Array) => {
    const shape = [1, values.length / (3 * pixels), size.height, size.width, 3];
    return DeviceTensor.from(device, values, shape, 'f32');
  };
  const before = device.memory.allocated;
  const [made, scene, own] = [generated, decoded, still].map(up);
  const result = await compositeStatic(device, made, scene, own, sigma);
  const values = (await result.read()) as Float32Array;
  for (const tensor of [made, scene, own, result]) tensor.destroy();
  expect(device.memory.allocated).toBe(before);
  return values;
}

/** From the definition, in float64: the window over the whole picture at once. */
function reference(generated: Float32Array, decoded: Float32Array, still: Float32Array, sigma: number) {
  const out = Float64Array.from(generated);
  const reach = Math.ceil(3 * sigma);
  const at = (c: number, f: number, p: number) => (f * pixels + p) * 3 + c;
  for (let f = 0; f < size.frames; f++) {
    for (let p = 0; p < pixels; p++) {
      let [sum, total] = [0, 0];
      for (let q = 0; q < pixels; q++) {
        const dy = Math.floor(q / size.width) - Math.floor(p / size.width);
        const dx = (q % size.width) - (p % size.width);
        if (Math.max(Math.abs(dx), Math.abs(dy)) > reach) continue;
        const weight = Math.exp(-(dx ** 2 + dy ** 2) / (2 * sigma ** 2));
        total += weight;
        for (const c of [0, 1, 2]) sum += (weight * (generated[at(c, f, q)] - decoded[at(c, f, q)]) ** 2) / 3;
      }
      const steps = Math.sqrt(sum / total) * 127.5;
      const share = Math.min(1, Math.max(0, (steps - 6) / 12));
      for (const c of [0, 1, 2]) {
        const own = still[at(c, f, p)];
        out[at(c, f, p)] = own + share * (generated[at(c, f, p)] - own);
      }
    }
  }
  return out;
}

test.each([1, 2.5])('follows its definition, blurred by %d pixels', async (sigma) => {
  const decoded = random(3 * MADE * pixels, 1);
  // From left to right ever less like the static scene.
  const noise = random(decoded.length, 1);
  const generated = decoded.map((v, i) => v + ((Math.floor(i / 3) % size.width) / 40) * noise[i]);
  const still = random(3 * size.frames * pixels, 1);
  const expected = reference(generated, decoded, still, sigma);
  const got = await composited(generated, decoded, still, sigma);
  const worst = Math.max(...got.map((v, i) => Math.abs(v - expected[i])));
  expect(worst).toBeLessThan(3e-6);
});

test('what nothing has touched is the static video to the pixel, what has changed stays as it was made', async () => {
  const still = random(3 * size.frames * pixels, 1);
  const decoded = random(3 * MADE * pixels, 1);
  const same = await composited(decoded, decoded, still, 2);
  expect(same.subarray(0, still.length)).toEqual(still);
  expect(same.subarray(still.length)).toEqual(decoded.subarray(still.length));
  const changed = decoded.map((v) => v + 0.3);
  expect(await composited(changed, decoded, still, 2)).toEqual(changed);
});
