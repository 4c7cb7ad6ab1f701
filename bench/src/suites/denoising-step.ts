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
import { seeded } from '@dwm/core-tensor/testing';
import {
  Parameters,
  type PublishedModel,
  publishedTransformer,
  type TransformerConfig,
  transformer,
  transformerParameters,
} from '@dwm/dwm-model/parts';
import type { Case } from '../case.ts';
import type { Prepared } from '../peers/index.ts';
import { normals } from '../random.ts';
import { count } from '../workloads/index.ts';

interface StepSize {
  readonly layers: number;
  /** Latent frames, height and width. */
  readonly latents: readonly [number, number, number];
  readonly textLength?: number;
}

function configOf(model: PublishedModel, { layers, latents: [frames, height, width] }: StepSize) {
  const sample = { sample_frames: 4 * (frames - 1) + 1, sample_height: height, sample_width: width };
  return { ...publishedTransformer(model), ...sample, num_layers: layers };
}

export function stepCase(model: PublishedModel, size: StepSize): Case {
  const { num_layers: all, max_text_seq_length: wholeText } = publishedTransformer(model);
  const { layers, latents, textLength = wholeText } = size;
  const config = configOf(model, size);
  const [frames, height, width] = latents;
  const inputs = {
    sample: spec([2, frames, config.in_channels, height, width]),
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
