import { compile, type Device, DeviceTensor, grad, spec } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { normals, randomParameters, tinyConfig } from '../vae/testing.ts';
import { Parameters } from '../weights/parameters.ts';
import { type DecoderObjectiveOptions, decoderObjective } from './decoder-objective.ts';
import { discriminatorParameters, initialDiscriminator, isDiscriminator } from './discriminator.ts';
import { fullTrainable, type Trainable } from './trainable.ts';

const OPTIONS: DecoderObjectiveOptions = {
  changeWeight: 3,
  gradientWeight: 0.5,
  contrastWeight: 2,
  featureWeight: 0.3,
  adversarialWeight: 0.4,
};
/** Small, and with sides that the discriminator halves twice. */
const [FRAMES, HEIGHT, WIDTH] = [4, 12, 16];
const inputs = {
  latents: spec([1, 2, 6, 8, 5]),
  clip: spec([1, FRAMES, HEIGHT, WIDTH, 3]),
  still: spec([1, FRAMES, HEIGHT, WIDTH, 3]),
};
const pixels = FRAMES * HEIGHT * WIDTH * 3;
const still = normals(pixels, 8).map(Math.tanh);
const values = {
  latents: normals(2 * 6 * 8 * 5, 5),
  // Half of it as the static clip.
  clip: normals(pixels, 6).map((value, i) => (i % 2 === 0 ? still[i] : Math.tanh(value))),
  still,
};

let device: Device;
let trainable: Trainable;
let theta: Float32Array;
beforeAll(async () => {
  device = await openNodeDevice();
  const shapes = discriminatorParameters();
  const discriminator = [...initialDiscriminator(3)].map(
    ([name, data]) => [name, DeviceTensor.from(device, data, shapes[name].shape, 'f32', name)] as const,
  );
  const vae = randomParameters(device);
  const all = new Parameters(new Map([...vae.tensors, ...discriminator]));
  trainable = fullTrainable(all, (name) => name.startsWith('decoder.') || isDiscriminator(name));
  theta = await trainable.initial();
});
afterAll(() => device?.destroy());

/** Every part of the objective; with gradients by weights, and by the output. */
async function open(options: DecoderObjectiveOptions, withGradients: boolean) {
  const all = { ...inputs, theta: spec([trainable.layout.length]) };
  const program = await compile(device, all, (x) => {
    const { weights, trained } = trainable.bind(x.theta);
    const parts = decoderObjective(tinyConfig, weights, x, options);
    const { loss, base, adversarial, balance, judgement, output } = parts;
    const pack = (of: typeof loss) => {
      const gradients = grad(of, [...trained.values()]);
      return trainable.layout.pack(new Map([...trained.keys()].map((name, i) => [name, gradients[i]])));
    };
    return {
      ...{ loss, base, adversarial, balance, judgement, output },
      ...(withGradients && {
        gradient: pack(loss),
        ofBase: pack(base),
        ofAdversarial: pack(adversarial),
        ofJudgement: pack(judgement),
        byOutput: grad(adversarial, [output])[0],
        baseByOutput: grad(base, [output])[0],
      }),
    };
  });
  return {
    async run(at: Float32Array): Promise<Record<string, Float32Array>> {
      await program.run({ ...values, theta: at });
      const read: Record<string, Float32Array> = {};
      for (const [name, tensor] of Object.entries(program.outputs)) {
        read[name] = (await tensor.read()) as Float32Array;
      }
      return read;
    },
    destroy: () => program.destroy(),
  };
}

type Image = { readonly data: Float64Array; readonly shape: readonly [number, number, number, number] };
const image = (data: ArrayLike<number>, channels = 3): Image => ({
  data: Float64Array.from(data),
  shape: [FRAMES, HEIGHT, WIDTH, channels],
});
const average = (x: ArrayLike<number>) => Array.from(x).reduce((sum, value) => sum + value, 0) / x.length;

/** A 3x3 convolution of every frame in float64. */
function convolve(
  { data, shape: [frames, height, width, from] }: Image,
  kernel: ArrayLike<number>,
  bias: ArrayLike<number>,
  stride: number,
): Image {
  const to = bias.length;
  const [rows, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)];
  const out = new Float64Array(frames * rows * columns * to);
  for (let f = 0; f < frames; f++)
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++)
        for (let o = 0; o < to; o++) {
          let sum = bias[o];
          for (let ky = 0; ky < 3; ky++)
            for (let kx = 0; kx < 3; kx++) {
              const [row, column] = [y * stride + ky - 1, x * stride + kx - 1];
              if (row < 0 || row >= height || column < 0 || column >= width) continue;
              for (let i = 0; i < from; i++)
                sum +=
                  data[((f * height + row) * width + column) * from + i] *
                  kernel[((ky * 3 + kx) * from + i) * to + o];
            }
          out[((f * rows + y) * columns + x) * to + o] = sum;
        }
  return { data: out, shape: [frames, rows, columns, to] };
}

function judged(clip: ArrayLike<number>): { scores: Image; features: Image[] } {
  const beside = new Float64Array(2 * pixels);
  for (let p = 0; p < pixels / 3; p++)
    for (let c = 0; c < 3; c++) {
      beside[6 * p + c] = clip[3 * p + c];
      beside[6 * p + 3 + c] = values.still[3 * p + c];
    }
  let x = image(beside, 6);
  const features: Image[] = [];
  for (const [i, stride] of [2, 2, 1, 1].entries()) {
    const kernel = trainable.layout.values(theta, `discriminator.${i}.weight`);
    const bias = trainable.layout.values(theta, `discriminator.${i}.bias`);
    const scale = Math.sqrt(2 * bias.length) / Math.sqrt(kernel.reduce((sum, w) => sum + w * w, 0));
    x = convolve(
      x,
      Array.from(kernel, (w) => w * scale),
      bias,
      stride,
    );
    if (i === 3) break;
    x = { ...x, data: x.data.map((value) => Math.max(value, 0.2 * value)) };
    features.push(x);
  }
  return { scores: x, features };
}

/** How often every pixel counts. */
function importance(): Float64Array {
  const weight = Float64Array.from({ length: pixels / 3 }, (_, p) => {
    const d = average([0, 1, 2].map((c) => (values.clip[3 * p + c] - values.still[3 * p + c]) ** 2));
    return 1 + (OPTIONS.changeWeight * d) / (d + 0.01);
  });
  const mean = average(weight);
  return weight.map((w) => w / mean);
}

const scalar = (weights: ArrayLike<number>): Image => image(weights, 1);
const halved = ({ data, shape: [frames, height, width] }: Image): Image => {
  const out = new Float64Array((frames * height * width) / 4);
  for (let f = 0; f < frames; f++)
    for (let y = 0; y < height / 2; y++)
      for (let x = 0; x < width / 2; x++)
        out[(f * (height / 2) + y) * (width / 2) + x] = average(
          [0, 1].flatMap((a) => [0, 1].map((b) => data[(f * height + 2 * y + a) * width + 2 * x + b])),
        );
  return { data: out, shape: [frames, height / 2, width / 2, 1] };
};

/** Weighed squares of the differences of the boxes' gradients. */
function contrast(made: Image, real: Image, weight: Image): number {
  const [frames, height, width] = made.shape;
  const side = Math.min(8, height - 1, width - 1);
  const terms: number[] = [];
  for (let f = 0; f < frames; f++)
    for (let top = 0; top + side < height; top += 2)
      for (let left = 0; left + side < width; left += 2) {
        const cells = Array.from({ length: side * side }, (_, i) => [
          top + Math.floor(i / side),
          left + (i % side),
        ]);
        const at = ({ data }: Image, y: number, x: number) => data[(f * height + y) * width + x];
        const strength = (of: Image) =>
          Math.sqrt(
            (2 / 255) ** 2 +
              average(
                cells.map(
                  ([y, x]) => (at(of, y + 1, x) - at(of, y, x)) ** 2 + (at(of, y, x + 1) - at(of, y, x)) ** 2,
                ),
              ),
          );
        terms.push(average(cells.map(([y, x]) => at(weight, y, x))) * (strength(made) - strength(real)) ** 2);
      }
  return average(terms);
}

/** base, adversarial part and judgement of an output, in float64. */
function reference(output: ArrayLike<number>) {
  const weight = importance();
  const error = Float64Array.from(output, (value, i) => value - values.clip[i]);
  const plain = average(error.map((e, i) => weight[Math.floor(i / 3)] * Math.abs(e)));
  const strides = [HEIGHT * WIDTH * 3, WIDTH * 3, 3];
  const differences = strides.map((stride, d) => {
    const length = [FRAMES, HEIGHT, WIDTH][d];
    const found = Array.from(error.keys()).filter((i) => Math.floor(i / stride) % length < length - 1);
    return average(found.map((i) => Math.abs(error[i + stride] - error[i])));
  });
  const luma = (clip: ArrayLike<number>) =>
    scalar(
      Float64Array.from(
        { length: pixels / 3 },
        (_, p) => 0.299 * clip[3 * p] + 0.587 * clip[3 * p + 1] + 0.114 * clip[3 * p + 2],
      ),
    );
  const full = [luma(output), luma(values.clip), scalar(weight)] as const;
  const half = full.map(halved);
  const edges = (contrast(...full) + contrast(half[0], half[1], half[2])) / 2;
  const [made, real] = [judged(output), judged(values.clip)];
  const features = average(
    made.features.map(({ data }, i) => average(data.map((x, k) => Math.abs(x - real.features[i].data[k])))),
  );
  const quarter = halved(halved(scalar(weight))).data;
  const weighed = (scores: Image, of: (score: number) => number) =>
    average(scores.data.map((score, i) => quarter[i] * of(score)));
  return {
    base: plain + 0.5 * average(differences) + 2 * edges + 0.3 * features,
    adversarial: -weighed(made.scores, (score) => score),
    judgement:
      weighed(real.scores, (score) => Math.max(0, 1 - score)) +
      weighed(made.scores, (score) => Math.max(0, 1 + score)),
  };
}

const difference = (got: number, want: number) => Math.abs(got - want) / Math.abs(want);
const part = (packed: Float32Array, wanted: (name: string) => boolean) =>
  [...trainable.layout.parts.keys()]
    .filter(wanted)
    .flatMap((name) => Array.from(trainable.layout.values(packed, name)));
const isDecoder = (name: string) => !isDiscriminator(name);

let found: Record<string, Float32Array>;
test('every part is what its formula says, in float64', async () => {
  const program = await open(OPTIONS, true);
  found = await program.run(theta);
  program.destroy();
  const want = reference(found.output);
  for (const name of ['base', 'adversarial', 'judgement'] as const)
    expect(difference(found[name][0], want[name]), name).toBeLessThan(2e-6);
  const [size, own] = [found.baseByOutput, found.byOutput].map((x) => Math.hypot(...x));
  expect(difference(found.balance[0], size / own)).toBeLessThan(1e-5);
  const total = want.base + 0.4 * (size / own) * want.adversarial + want.judgement;
  expect(difference(found.loss[0], total)).toBeLessThan(2e-5);
}, 120_000);

test('slopes at the output are those of the formula in float64', () => {
  for (const [name, slopes] of [
    ['base', found.baseByOutput],
    ['adversarial', found.byOutput],
  ] as const) {
    const signs = normals(pixels, 21).map(Math.sign);
    const h = 1e-6;
    const [up, down] = [1, -1].map(
      (side) => reference(Float64Array.from(found.output, (y, i) => y + side * h * signs[i]))[name],
    );
    const analytic = slopes.reduce((sum, slope, i) => sum + slope * signs[i], 0);
    expect(Math.abs(analytic - (up - down) / (2 * h)), name).toBeLessThan(2e-4 * Math.hypot(...slopes));
  }
});

test('the decoder learns from base and verdict, the discriminator from the hinges alone', () => {
  const scale = 0.4 * found.balance[0];
  const decoder = {
    got: part(found.gradient, isDecoder),
    base: part(found.ofBase, isDecoder),
    verdict: part(found.ofAdversarial, isDecoder),
  };
  const size = Math.hypot(...decoder.got);
  expect(Math.hypot(...decoder.verdict)).toBeGreaterThan(0);
  const missed = decoder.got.map((g, i) => g - decoder.base[i] - scale * decoder.verdict[i]);
  expect(Math.hypot(...missed) / size).toBeLessThan(1e-5);
  expect(Math.hypot(...part(found.ofJudgement, isDecoder))).toBe(0);
  expect(Math.hypot(...part(found.ofBase, isDiscriminator))).toBe(0);
  expect(Math.hypot(...part(found.ofAdversarial, isDiscriminator))).toBe(0);
  const own = part(found.gradient, isDiscriminator);
  const hinges = part(found.ofJudgement, isDiscriminator);
  expect(Math.hypot(...own.map((g, i) => g - hinges[i])) / Math.hypot(...own)).toBeLessThan(1e-6);
});

test('gradients against differences', async () => {
  const program = await open(OPTIONS, false);
  for (const [name, gradient, wanted] of [
    ['base', 'ofBase', isDecoder],
    ['judgement', 'ofJudgement', isDiscriminator],
  ] as const) {
    const direction = new Float32Array(theta.length);
    let analytic = 0;
    for (const [tensor, { offset }] of trainable.layout.parts) {
      if (!wanted(tensor)) continue;
      const own = trainable.layout.values(theta, tensor);
      const size = Math.max(0.01, Math.hypot(...own) / Math.sqrt(own.length));
      const signs = normals(own.length, offset + 1);
      for (let i = 0; i < own.length; i++) {
        direction[offset + i] = size * signs[i];
        analytic += direction[offset + i] * found[gradient][offset + i];
      }
    }
    const h = 1e-3;
    const at = async (steps: number) =>
      (await program.run(theta.map((value, i) => value + steps * h * direction[i])))[name][0];
    const slope = ((await at(1)) - (await at(-1))) / (2 * h);
    expect(difference(analytic, slope), name).toBeLessThan(2e-2);
  }
  program.destroy();
}, 120_000);

test('without features and verdict there is no discriminator in it', async () => {
  const program = await open({ ...OPTIONS, featureWeight: 0, adversarialWeight: 0 }, false);
  const { loss, base, judgement } = await program.run(theta);
  program.destroy();
  expect(loss).toEqual(base);
  expect(judgement[0]).toBe(0);
}, 120_000);
