/**
 * A denoising step as the pipeline runs it: the network itself on [negative, positive] and the guidance, with random
 * weights in bf16, as published checkpoints have them. No peer has this network, so it stands alone; its numbers are
 * held by the golden tests of dwm-model, and here the step must give finite values and the same bits twice.
 */
import {
  add,
  compile,
  type Device,
  DeviceTensor,
  mul,
  slice,
  spec,
  sub,
  type Tensor,
} from '@dwm/core-tensor';
import {
  Parameters,
  readTransformerConfig,
  type TransformerConfig,
  transformer,
  transformerParameters,
} from '@dwm/dwm-model';
import type { Case } from '../case.ts';
import type { Prepared } from '../peers/index.ts';
import { normals, seeded } from '../random.ts';
import { count } from '../workloads/index.ts';

export interface StepSize {
  readonly layers: number;
  /** Latent frames, height and width. */
  readonly latents: readonly [number, number, number];
  readonly textLength?: number;
}

/** Of the published `config.json`s; `tiny` is of our tests' size. */
const MODELS = {
  tiny: { heads: 4, layers: 2, headDim: 16, timeDim: 64, textDim: 64, textLength: 32, rotary: true },
  '2B': { heads: 30, layers: 30, headDim: 64, timeDim: 512, textDim: 4096, textLength: 226, rotary: false },
  '5B': { heads: 48, layers: 42, headDim: 64, timeDim: 512, textDim: 4096, textLength: 226, rotary: true },
} as const;

const IN_CHANNELS = 49;

function configOf(model: keyof typeof MODELS, { layers, latents }: StepSize): TransformerConfig {
  const { heads, headDim, timeDim, textDim, textLength, rotary } = MODELS[model];
  return readTransformerConfig(
    {
      ...{ num_attention_heads: heads, attention_head_dim: headDim, num_layers: layers },
      ...{ in_channels: IN_CHANNELS, out_channels: 16, patch_size: 2 },
      ...{ text_embed_dim: textDim, time_embed_dim: timeDim, max_text_seq_length: textLength },
      ...{ sample_frames: 4 * (latents[0] - 1) + 1, sample_height: latents[1], sample_width: latents[2] },
      ...{ temporal_compression_ratio: 4, spatial_interpolation_scale: 1.875 },
      ...{ temporal_interpolation_scale: 1, use_rotary_positional_embeddings: rotary },
      ...{ attention_bias: true, norm_elementwise_affine: true, norm_eps: 1e-5 },
      ...{ flip_sin_to_cos: true, freq_shift: 0, activation_fn: 'gelu-approximate' },
      timestep_activation_fn: 'silu',
    },
    `${model}/config.json`,
  );
}

export function stepCase(model: keyof typeof MODELS, size: StepSize): Case {
  const { layers: all, textLength: wholeText } = MODELS[model];
  const { layers, latents, textLength = wholeText } = size;
  const config = configOf(model, size);
  const [frames, height, width] = latents;
  const inputs = {
    sample: spec([2, frames, IN_CHANNELS, height, width]),
    text: spec([2, textLength, config.text_embed_dim]),
    time: spec([2, config.innerDim]),
  };
  const step =
    (parameters: Parameters) =>
    ({ sample, text, time }: Record<keyof typeof inputs, Tensor>) => {
      const both = transformer(config, parameters, { hidden: sample, text, time });
      const negative = slice(both, 0, 0, 1);
      return { out: add(negative, mul(sub(slice(both, 0, 1, 1), negative), 6)) };
    };
  const tokens = textLength + (frames * height * width) / 4;
  return {
    name: `${model} denoising step, ${layers} of ${all} blocks, ${tokens} tokens, guided`,
    async open(device, seed) {
      const random = seeded(seed);
      const parameters = randomParameters(device, config, random);
      const draw = () =>
        Object.fromEntries(
          Object.entries(inputs).map(([name, { shape }]) => [
            name,
            DeviceTensor.from(device, normals(count(shape), random), shape, 'f32', name),
          ]),
        ) as Record<keyof typeof inputs, DeviceTensor>;
      const sets = [draw(), draw()];
      const program = await compile(device, inputs, step(parameters));
      const prepared: Prepared = {
        async run(set) {
          await program.run(sets[set]);
          await device.done();
        },
        read: async () => (await program.outputs.out.read()) as Float32Array,
        async dispose() {
          program.destroy();
          parameters.destroy();
          for (const set of sets) for (const tensor of Object.values(set)) tensor.destroy();
        },
      };
      const ours = { peer: 'dwm', formulation: 'dwm', runsOn: 'shared' } as const;
      const { cost } = program.plan;
      return {
        cost,
        expected: 'repeatable',
        sets: 2,
        contenders: [{ ...ours, prepare: async () => prepared }],
      };
    },
  };
}

/** bf16 weights of the size that keeps activations near 1, drawn from a pool: billions would take minutes. */
function randomParameters(device: Device, config: TransformerConfig, random: () => number): Parameters {
  const pool = normals(1 << 16, random);
  const tensors = new Map<string, DeviceTensor>();
  for (const [name, { shape }] of Object.entries(transformerParameters(config))) {
    const scale = shape.length > 1 ? 1 / Math.sqrt(count(shape.slice(1))) : 0.3;
    const centre = /norm.*weight$/.test(name) && shape.length === 1 ? 1 : 0;
    const bits = new Uint32Array(pool.map((value) => centre + scale * value).buffer);
    const rounded = Uint16Array.from(bits, (word) => word >>> 16);
    const data = new Uint16Array(count(shape));
    const start = Math.floor(random() * 1000);
    for (let at = 0; at < data.length; at += rounded.length - start)
      data.set(rounded.subarray(start, start + Math.min(rounded.length - start, data.length - at)), at);
    tensors.set(name, DeviceTensor.from(device, data, shape, 'bf16', name));
  }
  return new Parameters(tensors);
}
