/** The step of `adamw8bit` in float64, and its codes as numbers. */
import { type AdamW8bitSpec, MOMENT_BLOCK } from './adamw8bit.ts';

/** Share of the block's largest magnitude that a code of `bits` bits stands for. */
export function momentValue(code: number, bits: number): number {
  if (code === 0) return 0;
  const place = Math.floor(Math.log2(code));
  const size = 2 ** place;
  return 10 ** (place + 1 - bits) * (0.1 + (0.9 * (code - size + 1)) / size);
}

/** The moments that codes and maxima hold, r as the second one's root. */
export function decodeMoments(
  codes: Uint32Array,
  maxima: Float32Array,
): { m: Float64Array; r: Float64Array } {
  const m = new Float64Array(codes.length * 2);
  const r = new Float64Array(codes.length * 2);
  for (let i = 0; i < m.length; i++) {
    const block = Math.floor(i / MOMENT_BLOCK);
    const byteOf = (which: number) => (codes[2 * Math.floor(i / 4) + which] >>> (8 * (i % 4))) & 255;
    const byte = byteOf(0);
    m[i] = (byte > 127 ? -1 : 1) * momentValue(byte & 127, 7) * maxima[2 * block];
    r[i] = momentValue(byteOf(1), 8) * maxima[2 * block + 1];
  }
  return { m, r };
}

/** The step from moments that are decoded already; the new ones before they are rounded. */
export function adamw8bitReference(
  { beta1, beta2, eps }: AdamW8bitSpec,
  theta: ArrayLike<number>,
  gradient: ArrayLike<number>,
  moments: { readonly m: Float64Array; readonly r: Float64Array },
  [decay, rate, bias]: Iterable<number>,
): { theta: Float64Array; m: Float64Array; r: Float64Array } {
  const out = {
    theta: new Float64Array(theta.length),
    m: new Float64Array(theta.length),
    r: new Float64Array(theta.length),
  };
  for (let i = 0; i < theta.length; i++) {
    const m = beta1 * moments.m[i] + (1 - beta1) * gradient[i];
    const r = Math.sqrt(beta2 * moments.r[i] ** 2 + (1 - beta2) * gradient[i] ** 2);
    out.m[i] = m;
    out.r[i] = r;
    out.theta[i] = decay * theta[i] - (rate * m) / (bias * r + eps);
  }
  return out;
}
