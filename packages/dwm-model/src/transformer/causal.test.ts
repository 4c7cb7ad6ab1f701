import {
  compile,
  type Device,
  elementCount,
  randomReference,
  spec,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomParameters } from '../vae/testing.ts';
import {
  blockPositions,
  causalBlock,
  causalText,
  keysValues,
  namedKeysValues,
  seenBlocks,
} from './causal.ts';
import { CausalMemory } from './causal-memory.ts';
import { type CausalConfig, readTransformerConfig, type TransformerConfig } from './config.ts';
import { transformer } from './forward.ts';
import { transformerParameters } from './parameters.ts';
import { timestepTable } from './positions.ts';

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

const CAUSAL = { block_frames: 1, window: 2, sink: 1 };

const configOf = (changes: object): TransformerConfig =>
  readTransformerConfig(
    {
      ...{ num_attention_heads: 2, attention_head_dim: 16, num_layers: 2, in_channels: 5, out_channels: 3 },
      ...{ patch_size: 2, text_embed_dim: 12, time_embed_dim: 16, max_text_seq_length: 3 },
      ...{ sample_frames: 9, sample_height: 6, sample_width: 10, temporal_compression_ratio: 4 },
      ...{ spatial_interpolation_scale: 1.5, temporal_interpolation_scale: 1 },
      ...{ use_rotary_positional_embeddings: true, attention_bias: true, norm_elementwise_affine: true },
      ...{ norm_eps: 1e-5, flip_sin_to_cos: true, freq_shift: 0, activation_fn: 'gelu-approximate' },
      ...{ timestep_activation_fn: 'silu', causal: CAUSAL },
      ...changes,
    },
    'config.json',
  );

const normals = (shape: readonly number[], stream: number) =>
  Float32Array.from(randomReference({ count: elementCount(shape), distribution: 'normal', stream }, [3, 4]));

const TEXT = [1, 3, 12];
const [HEIGHT, WIDTH] = [6, 4];
const shapeOf = (config: TransformerConfig, frames: number) => [1, frames, config.in_channels, HEIGHT, WIDTH];

/** All blocks at once. @param timesteps of each. @param seen timesteps of the history, where there is one. */
async function whole(
  config: TransformerConfig,
  hidden: Float32Array,
  timesteps: readonly number[],
  seen?: readonly number[],
) {
  const weights = randomParameters(device, transformerParameters(config));
  const shape = shapeOf(config, hidden.length / (config.in_channels * HEIGHT * WIDTH));
  const dim = config.innerDim;
  const told = spec([1, timesteps.length, dim]);
  const inputs: Record<string, TensorSpec> = {
    ...{ hidden: spec(shape), text: spec(TEXT), time: told },
    ...(seen && { historyHidden: spec(shape), historyTime: told }),
  };
  const program = await compile(
    device,
    inputs,
    ({ hidden, text, time, historyHidden, historyTime }): Record<string, Tensor> => {
      const history = historyHidden && { hidden: historyHidden, time: historyTime };
      return { out: transformer(config, weights, { hidden, text, time, ...(history && { history }) }) };
    },
  );
  const { out } = await program.run({
    ...{ hidden, text: normals(TEXT, 1), time: timestepTable(timesteps, dim, config) },
    ...(seen && { historyHidden: normals(shape, 3), historyTime: timestepTable(seen, dim, config) }),
  });
  const values = (await out.read()) as Float32Array;
  program.destroy();
  weights.destroy();
  return values;
}

/** Block after block, with a memory. */
async function blocks(config: TransformerConfig, hidden: Float32Array, timesteps: readonly number[]) {
  const weights = randomParameters(device, transformerParameters(config));
  const causal = config.causal!;
  const { num_layers: layers, innerDim: dim, in_channels: channels } = config;
  const frames = causal.block_frames;
  const latent = { frames, height: HEIGHT, width: WIDTH };
  const ofText = await compile(device, { text: spec(TEXT) }, ({ text }) =>
    namedKeysValues(causalText(config, weights, { text })),
  );
  const size = { ...latent, textLength: TEXT[1] };
  const memory = CausalMemory.create(device, config, causal, size);
  memory.rememberText(await ofText.run({ text: normals(TEXT, 1) }));
  ofText.destroy();

  const tables = (block: number) => blockPositions(config, latent, block * frames);
  const tokens = memory.tensors.k0.shape[1];
  const inputs: Record<string, TensorSpec> = {
    hidden: spec(shapeOf(config, frames)),
    time: spec([1, dim]),
    mask: spec([1, tokens], 'u32'),
    ...Object.fromEntries(Object.entries(tables(0)).map(([name, { shape }]) => [name, spec(shape)])),
    ...CausalMemory.specs(config, causal, size),
  };
  const program = await compile(device, inputs, ({ hidden, time, mask, ...given }) => {
    const before = keysValues(given, layers);
    const { prediction, ...own } = causalBlock(config, weights, {
      hidden,
      time,
      mask,
      positions: given,
      before,
    });
    return { prediction, ...namedKeysValues(own) } as Record<string, Tensor>;
  });
  const out: number[] = [];
  const image = channels * HEIGHT * WIDTH;
  for (const [index, timestep] of timesteps.entries()) {
    const { prediction, ...own } = await program.run({
      ...memory.tensors,
      ...Object.fromEntries(Object.entries(tables(index)).map(([name, { data }]) => [name, data])),
      hidden: hidden.slice(index * frames * image, (index + 1) * frames * image),
      time: timestepTable([timestep], dim, config),
      mask: memory.mask(index),
    });
    memory.remember(index, own);
    out.push(...((await prediction.read()) as Float32Array));
  }
  program.destroy();
  memory.destroy();
  weights.destroy();
  return Float32Array.from(out);
}

const difference = (a: Float32Array, b: Float32Array) => {
  expect(a.length).toBe(b.length);
  let [sum, scale] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    sum += (a[i] - b[i]) ** 2;
    scale += b[i] ** 2;
  }
  return Math.sqrt(sum / scale);
};

test('a block sees the first ones, those just before it, and itself', () => {
  const seen = (causal: CausalConfig, count: number) =>
    Array.from({ length: count }, (_, i) =>
      seenBlocks(causal, i)
        .map(([first, end]) => `${first}-${end - 1}`)
        .join(),
    );
  expect(seen({ block_frames: 1, window: 2, sink: 1 }, 5)).toEqual([
    '0-0',
    '0-1',
    '0-2',
    '0-0,2-3',
    '0-0,3-4',
  ]);
  expect(seen({ block_frames: 3, window: 1, sink: 0 }, 3)).toEqual(['0-0', '1-1', '2-2']);
});

test.each([
  { name: 'blocks of one frame, rotary positions', frames: 5, changes: {} },
  {
    name: 'blocks of two patches of two frames, added positions, the first block kept',
    frames: 12,
    changes: {
      patch_size_t: 2,
      use_rotary_positional_embeddings: false,
      causal: { block_frames: 4, window: 1, sink: 1 },
    },
  },
])(
  'one after the other, $name: the numbers of all at once',
  { timeout: 120_000 },
  async ({ frames, changes }) => {
    const config = configOf(changes);
    const hidden = normals(shapeOf(config, frames), 2);
    const timesteps = Array.from({ length: frames / config.causal!.block_frames }, (_, i) => 999 - 150 * i);
    const want = await whole(config, hidden, timesteps);
    expect(difference(await blocks(config, hidden, timesteps), want)).toBeLessThan(2e-6);
  },
);

test('a clip of one block is what it is, whatever its history', async () => {
  const config = configOf({ causal: { block_frames: 2, window: 2, sink: 1 } });
  const hidden = normals(shapeOf(config, 2), 2);
  const alone = await whole(config, hidden, [999]);
  expect(difference(await whole(config, hidden, [999], [200]), alone)).toBeLessThan(2e-6);
});

test('what a block sees of a history is the same in a longer clip, with a part of a block at its end', async () => {
  const config = configOf({ causal: { block_frames: 2, window: 2, sink: 1 } });
  const hidden = normals(shapeOf(config, 9), 2);
  const timesteps = [999, 800, 600, 400, 200];
  const seen = [100, 80, 60, 40, 20];
  const long = await whole(config, hidden, timesteps, seen);
  const image = config.in_channels * HEIGHT * WIDTH;
  const short = await whole(config, hidden.slice(0, 6 * image), timesteps.slice(0, 3), seen.slice(0, 3));
  expect(difference(long.slice(0, short.length), short)).toBeLessThan(2e-6);
});
