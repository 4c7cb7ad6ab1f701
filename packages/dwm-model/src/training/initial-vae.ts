/**
 * A VAE that nobody has trained yet starts as a plain codec: latents hold the mean colours of the four quadrants of their
 * cell (of the cell as a whole, where there are fewer than twelve), and the decoder blends neighbours back to
 * pixels. Everything else starts so that it can learn what is missing, and does no harm before:
 *
 * - Residual branches end in zero, and the latents guide no norm. Convolutions beside the branches keep the variance of
 *   what they read (LeCun et al., Efficient BackProp, 1998).
 * - Before the last convolutions every carried channel has its negative beside it, because silu(x) - silu(-x) = x, and constant
 *   channels keep the norm from stretching a dark clip to the contrast of a bright one.
 * - The posterior's noise is far smaller than the latents, which would drown in more.
 */
import type { ParameterSpecs } from '../weights/parameters.ts';
import { draw, type InitialWeights, layer } from './initial-weights.ts';

const COLORS = 3;
const START_LOGVAR = -6;
/** Values of the constant channels, plus and minus: a quarter of the last level, whose norm then divides by half of this. */
const CONSTANT = 4;

const CARRIES = /conv_in\.conv|conv_shortcut|(down|up)samplers\.0\.conv/;

/** Taps of a 3x3 convolution, by row and column, and their weight. */
type Taps = readonly (readonly [row: number, column: number, weight: number])[];
/** Downsampling reads the pixel, the one right of it, and those below. */
const MEAN: Taps = quadrants((row, column) => [row, column, 1 / 4]);
/** After an enlargement by nearest neighbours: linear interpolation. */
const LINEAR: Taps = [0, 1, 2].flatMap((row) =>
  [0, 1, 2].map((column) => [row, column, [1, 2, 1][row] * [1, 2, 1][column] * (1 / 16)] as const),
);

function quadrants<T>(of: (row: number, column: number) => T): T[] {
  return [0, 1].flatMap((row) => [0, 1].map((column) => of(row, column)));
}

export function initialVae(specs: ParameterSpecs, seed: number): InitialWeights {
  const weights = draw(specs, seed, (name, shape) => {
    if (/resnets\.\d+\.conv2\./.test(name)) return { kind: 'fill', value: 0 };
    if (/conv_[yb]\.conv\./.test(name)) {
      return { kind: 'fill', value: name.endsWith('conv_y.conv.bias') ? 1 : 0 };
    }
    const start = layer(specs, name, shape);
    if (start.kind !== 'uniform' || !CARRIES.test(name)) return start;
    if (name.endsWith('bias')) return { kind: 'fill', value: 0 };
    return { kind: 'uniform', bound: Math.sqrt(3) * start.bound };
  });
  const get = (name: string) => weights.get(name)!;
  const names = (side: string, part: string) =>
    [...weights.keys()].filter(
      (name) => name.startsWith(side) && name.includes(part) && /weight$/.test(name),
    );

  /** Lets a convolution's output channel `to` read only the taps given of its inputs, at this time. */
  const carry = (name: string, to: number, sources: readonly { from: number; taps: Taps }[]) => {
    const [, inputs, ...kernel] = specs[name].shape;
    const size = kernel.reduce((a, b) => a * b, 1);
    const row = get(name).subarray(to * inputs * size, (to + 1) * inputs * size);
    row.fill(0);
    // The last in time is now; a kernel of one tap has only a centre.
    for (const { from, taps } of sources) {
      for (const [y, x, weight] of taps) row[from * size + (size < 9 ? 0 : size - 9 + 3 * y + x)] = weight;
    }
  };
  const centre = (from: number, weight: number) => ({ from, taps: [[1, 1, weight]] as const });
  const keep = (name: string, count: number) => {
    for (let i = 0; i < count; i++) carry(name, i, [centre(i, 1)]);
  };

  const latents = get('encoder.conv_out.conv.bias').length / 2;
  const split = latents >= 4 * COLORS;
  const carried = split ? 4 * COLORS : COLORS;
  const downs = names('encoder', 'downsamplers');
  const ups = names('decoder', 'upsamplers');
  keep('encoder.conv_in.conv.weight', COLORS);
  for (let color = 0; color < COLORS; color++) {
    for (const name of downs) carry(name, color, [{ from: color, taps: MEAN }]);
    for (const name of ups) carry(name, color, [{ from: color, taps: LINEAR }]);
    if (!split) continue;
    const parts = quadrants((row, column) => ({ row, column, at: COLORS * (2 * row + column) + color }));
    for (const { row, column, at } of parts)
      carry(downs.at(-1)!, at, [{ from: color, taps: [[row, column, 1]] }]);
    // An upsampled pixel finds its own quadrant on the side of the border that it is next to: with the one across, a blend.
    const sources = parts.map(({ row, column, at }) => ({
      from: at,
      taps: [[row ? 0 : 2, column ? 0 : 2, 1 / 4]] as const,
    }));
    carry(ups[0], color, sources);
  }
  for (const name of names('encoder', 'conv_shortcut')) keep(name, carried);
  keep('decoder.conv_in.conv.weight', carried);
  for (const name of names('decoder', 'conv_shortcut')) keep(name, COLORS);

  for (const [side, count] of [
    ['encoder', carried],
    ['decoder', COLORS],
  ] as const) {
    const shortcut = names(side, 'conv_shortcut').at(-1);
    if (!shortcut) continue;
    const bias = get(shortcut.replace('weight', 'bias'));
    for (let i = (3 * bias.length) / 4; i < bias.length; i++) {
      carry(shortcut, i, []);
      bias[i] = i % 2 === 0 ? CONSTANT : -CONSTANT;
    }
    for (let i = 0; i < count; i++) {
      carry(shortcut, count + i, [centre(i, -1)]);
      const pair = [centre(i, CONSTANT / 2), centre(count + i, -CONSTANT / 2)];
      carry(`${side}.conv_out.conv.weight`, i, pair);
    }
    get(`${side}.conv_out.conv.bias`).fill(0);
  }
  get('encoder.conv_out.conv.weight').fill(0, get('encoder.conv_out.conv.weight').length / 2);
  get('encoder.conv_out.conv.bias').fill(START_LOGVAR, latents);
  return weights;
}
