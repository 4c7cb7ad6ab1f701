import { compile, type Device, DeviceTensor, spec } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { randomNormals, relativeError, seeded } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Parameters } from '../../weights/parameters.ts';
import {
  diffusersName,
  readWanConfig,
  type WanConfig,
  type WanInputs,
  wanParameters,
  wanRotaryTables,
  wanTimeTable,
  wanTransformer,
} from './index.ts';

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device.destroy());

const tiny = {
  ...{ _class_name: 'WanModel', model_type: 'i2v', in_dim: 9, out_dim: 3, dim: 24, ffn_dim: 20 },
  ...{ freq_dim: 8, text_dim: 12, text_len: 5, num_heads: 2, num_layers: 1 },
};
const config: WanConfig = { ...readWanConfig(tiny, 'config.json'), imageDim: 7 };

test('of a head of 128, 44 turn with the frame and 42 each with row and column', () => {
  const grid = { frames: 2, rows: 2, columns: 2 };
  const { cos, sin } = wanRotaryTables({ headDim: 128, fps: 16 }, grid);
  const turned = (token: number) =>
    Array.from({ length: 128 }, (_, i) => i).filter((i) => sin[token * 128 + i] !== 0);
  expect([turned(4).at(0), turned(4).at(-1), turned(4).length]).toEqual([0, 43, 44]);
  expect([turned(2).at(0), turned(2).at(-1), turned(2).length]).toEqual([44, 85, 42]);
  expect([turned(1).at(0), turned(1).at(-1), turned(1).length]).toEqual([86, 127, 42]);
  expect(cos[4 * 128 + 2]).toBe(Math.fround(Math.cos(10000 ** (-2 / 44))));
  const slow = wanRotaryTables({ headDim: 128, fps: 32 }, grid);
  expect(slow.sin[4 * 128]).toBe(Math.fround(Math.sin(0.5)));
});

test("every weight has one name in diffusers', and none twice", () => {
  const names = Object.keys(wanParameters(config));
  const other = names.map(diffusersName);
  expect(new Set(other).size).toBe(names.length);
  expect(other).toContain('blocks.0.attn2.add_k_proj.weight');
  expect(other).toContain('condition_embedder.image_embedder.ff.net.0.proj.bias');
});

test.each<[string, object, string]>([
  ['a misspelt key', { ffn_dims: 3 }, 'ffn_dims: unknown key'],
  ['another network', { model_type: 'vace' }, 'model_type'],
  ['heads that do not divide', { num_heads: 5 }, 'num_heads: 5 heads do not divide a width of 24'],
  [
    'channels that do not add up',
    { in_channels: 13, original_in_channels: 9, condition_channels: 3 },
    'in_channels: expected original_in_channels + condition_channels = 12, got 13',
  ],
])('%s is refused by name', (_, change, message) => {
  expect(() => readWanConfig({ ...tiny, ...change }, 'config.json')).toThrow(message);
});

/**
 * The network's answer for a context of `rows` of text and, if asked for, a picture.
 * @param changed a weight, or a row of the text, that is another.
 */
async function answer(
  given: WanConfig,
  rows: number,
  picture: boolean,
  changed: { weight?: string; row?: number } = {},
): Promise<Float32Array> {
  const random = seeded(5);
  const tensors = new Map(
    Object.entries(wanParameters(given)).map(([name, { shape }]) => {
      const values = randomNormals(
        shape.reduce((a, b) => a * b, 1),
        random,
      ).map((v) => (name === changed.weight ? v : v / 3));
      return [name, DeviceTensor.from(device, values, shape, 'f32', name)] as const;
    }),
  );
  const parameters = new Parameters(tensors);
  const inputs = {
    hidden: spec([1, 2, 9, 2, 4]),
    text: spec([1, rows, 12]),
    time: spec([1, 8]),
    ...(picture && { image: spec([1, 257, 7]) }),
  };
  const program = await compile(device, inputs, (x) => ({
    out: wanTransformer(given, parameters, x as WanInputs),
  }));
  const text = randomNormals(rows * 12, seeded(7));
  if (changed.row !== undefined) text.fill(1, changed.row * 12, (changed.row + 1) * 12);
  await program.run({
    hidden: randomNormals(144, seeded(6)),
    text,
    time: wanTimeTable([417.25], 8),
    ...(picture && { image: new Float32Array(257 * 7) }),
  });
  const out = (await program.outputs.out.read()) as Float32Array;
  program.destroy();
  parameters.destroy();
  return out;
}

test('without a picture the first 257 text rows take its place, and the rest is text', async () => {
  const short = await answer(config, 5, false);
  const long = await answer(config, 260, false);
  expect(short.every(Number.isFinite)).toBe(true);
  expect(relativeError(short, long)).toBeGreaterThan(1e-3);
  expect(relativeError(await answer(config, 5, true), short)).toBeGreaterThan(1e-3);
  const moved = async (rows: number, like: Float32Array, weight: string) =>
    relativeError(
      await answer(config, rows, false, { weight: `blocks.0.cross_attn.${weight}.weight` }),
      like,
    );
  expect(await moved(5, short, 'v_img')).toBeGreaterThan(1e-3);
  expect(await moved(5, short, 'v')).toBe(0);
  expect(await moved(260, long, 'v_img')).toBeGreaterThan(1e-3);
  expect(await moved(260, long, 'v')).toBeGreaterThan(1e-3);
});

test('a network without an image branch attends to every row at once', async () => {
  const plain = readWanConfig({ ...tiny, cross_attn_type: 'cross_attn' }, 'config.json');
  const whole = await answer(plain, 260, false);
  expect(whole.length).toBe(2 * 3 * 2 * 4);
  expect(whole.every(Number.isFinite)).toBe(true);
  for (const row of [0, 256, 259])
    expect(relativeError(await answer(plain, 260, false, { row }), whole), `row ${row}`).toBeGreaterThan(
      1e-6,
    );
});
