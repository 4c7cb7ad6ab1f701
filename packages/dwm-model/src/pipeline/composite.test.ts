import { expect, test } from 'vitest';
import { compositeStatic } from './composite.ts';

const size = { frames: 2, height: 7, width: 11 };
const pixels = size.height * size.width;
/** The VAE makes more frames than it was given. */
const MADE = 3;

const random = (length: number, scale: number) =>
  Float32Array.from({ length }, () => scale * (2 * Math.random() - 1));

/** From the definition, in float64: the window over the whole picture at once. */
function reference(generated: Float32Array, decoded: Float32Array, still: Float32Array, sigma: number) {
  const out = Float64Array.from(generated);
  const reach = Math.ceil(3 * sigma);
  const at = (c: number, f: number, p: number) => (c * MADE + f) * pixels + p;
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
        const own = still[(c * size.frames + f) * pixels + p];
        out[at(c, f, p)] = own + share * (generated[at(c, f, p)] - own);
      }
    }
  }
  return out;
}

test.each([1, 2.5])('follows its definition, blurred by %d pixels', (sigma) => {
  const decoded = random(3 * MADE * pixels, 1);
  // From left to right ever less like the static scene.
  const generated = decoded.map((v, i) => v + ((i % size.width) / 40) * (2 * Math.random() - 1));
  const still = random(3 * size.frames * pixels, 1);
  const expected = reference(generated, decoded, still, sigma);
  compositeStatic(generated, decoded, still, size, sigma);
  const worst = Math.max(...generated.map((v, i) => Math.abs(v - expected[i])));
  expect(worst).toBeLessThan(1e-6);
});

test('what nothing has touched is the static video to the pixel, what has changed stays as it was made', () => {
  const still = random(3 * size.frames * pixels, 1);
  const decoded = random(3 * MADE * pixels, 1);
  const same = decoded.slice();
  compositeStatic(same, decoded, still, size, 2);
  const changed = decoded.map((v) => v + 0.3);
  const kept = changed.slice();
  compositeStatic(changed, decoded, still, size, 2);
  expect(changed).toEqual(kept);
  for (let c = 0; c < 3; c++) {
    const whole = size.frames * pixels;
    const own = same.subarray(c * MADE * pixels, (c + 1) * MADE * pixels);
    expect(own.subarray(0, whole)).toEqual(still.subarray(c * whole, (c + 1) * whole));
    expect(own.subarray(whole)).toEqual(decoded.subarray(c * MADE * pixels + whole, (c + 1) * MADE * pixels));
  }
});
