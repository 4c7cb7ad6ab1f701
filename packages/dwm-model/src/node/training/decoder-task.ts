/**
 * Mode `decoder`: the VAE's decoder alone, so that what it makes is sharp, on latents of videos and on those that the
 * transformer predicts for the same triplets. Encoder and transformer stay, and with them all latents.
 */
import {
  compile,
  DeviceTensor,
  InvalidArgumentError,
  mul,
  permute,
  philox4x32,
  reshape,
  spec,
  type Tensor,
  where,
} from '@dwm/core-tensor';
import { subfolder } from '@dwm/core-tensor/files';
import type { LoadedTransformer } from '../../families/family.ts';
import { allIn, Symbols, storedAs } from '../../families/symbols.ts';
import { changedRegion, regionPsnr, sharpness } from '../../metrics/index.ts';
import { valuesPsnr } from '../../metrics/psnr.ts';
import { loadTransformer } from '../../pipeline/load-transformer.ts';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { type BatchRules, batchSpecs, makeBatch } from '../../training/data/batch.ts';
import { decoderObjective } from '../../training/decoder-objective.ts';
import {
  discriminatorParameters,
  initialDiscriminator,
  isDiscriminator,
} from '../../training/discriminator.ts';
import { wholeNetwork } from '../../training/export.ts';
import { dwmObjective, type ObjectiveInputs } from '../../training/objective.ts';
import type { LossFunction } from '../../training/train-step.ts';
import { fullTrainable } from '../../training/trainable.ts';
import { type TransformerConfig, transformerParameters } from '../../transformer/index.ts';
import {
  CogVideoXVae,
  readVaeConfig,
  SAMPLE_FRAMES,
  type VaeConfig,
  vaeParameters,
} from '../../vae/index.ts';
import type { VideoSize } from '../../video/video.ts';
import { Parameters } from '../../weights/parameters.ts';
import { ClipStore } from './clip-store.ts';
import type { Sample } from './dataset.ts';
import { describedRules, openExamples } from './dwm-examples.ts';
import { describedTransformer, refuseCausal } from './dwm-task.ts';
import type { ModelFiles } from './model-folder.ts';
import { batchOrder } from './order.ts';
import { trainingSize } from './size.ts';
import type {
  Batch,
  Inputs,
  PlanContext,
  PlannedTask,
  Reconstruction,
  TaskContext,
  TrainingTask,
} from './task.ts';
import { pictureName, reconstruct, shownSamples, signedValues, trainedVae } from './trained-vae.ts';

const KEY = 0x44454330;
const WEIGHTS = 'vae/diffusion_pytorch_model.safetensors';

/** @throws InvalidArgumentError for what cannot be. @returns the size of the clips. */
function checkSettings(experiment: ExperimentConfig): VideoSize {
  const size = trainingSize(experiment);
  if ((size.frames - 1) % SAMPLE_FRAMES !== 0) {
    // Other numbers of frames come back from the decoder as more than went in.
    throw new InvalidArgumentError(
      'data.frame_buckets',
      `the decoder learns from ${SAMPLE_FRAMES} k + 1 frames, got ${size.frames}`,
    );
  }
  return size;
}

const hasJudge = ({ training }: ExperimentConfig): boolean =>
  training.decoder_adversarial_weight > 0 || training.decoder_feature_weight > 0;

const isTrained = (name: string): boolean => name.startsWith('decoder.') || isDiscriminator(name);

function graphOf(
  experiment: ExperimentConfig,
  {
    vae,
    transformer,
  }: { readonly vae: VaeConfig; readonly transformer: LoadedTransformer<TransformerConfig> },
  rules: Pick<BatchRules, 'config' | 'size'>,
  tokens: number,
) {
  const { training } = experiment;
  const size = trainingSize(experiment);
  /** What the transformer says, or the truth where `generated` is 0; as the decoder takes it. */
  function latentsOf(inputs: Readonly<Record<string, Tensor>>): Tensor {
    const given = inputs as unknown as ObjectiveInputs;
    const said =
      training.decoder_generated_prob > 0
        ? where(
            reshape(inputs.generated, [-1, 1, 1, 1, 1]),
            dwmObjective(transformer.config, transformer.parameters, vae.scaling_factor, given).x0,
            given.video,
          )
        : given.video;
    return permute(mul(said, 1 / vae.scaling_factor), [0, 1, 3, 4, 2]);
  }
  const inputsOf = (count: number, rows: number) => ({
    ...batchSpecs(count, rules, rows),
    generated: spec([count]),
  });
  const clipSpec = spec([training.batch_size, size.frames, size.height, size.width, 3]);
  const loss: LossFunction<Inputs> = {
    inputs: { ...inputsOf(training.batch_size, tokens), clip: clipSpec, still: clipSpec },
    loss: (weights, { clip, still, ...inputs }) =>
      decoderObjective(
        vae,
        weights,
        { latents: latentsOf(inputs), clip, still },
        {
          changeWeight: training.change_weight,
          gradientWeight: training.vae_gradient_weight,
          contrastWeight: training.decoder_contrast_weight,
          featureWeight: training.decoder_feature_weight,
          adversarialWeight: training.decoder_adversarial_weight,
        },
      ).loss,
  };
  return { latentsOf, inputsOf, loss };
}

/** The task from configurations and headers; @throws as `decoderTask` for what these tell. */
export async function planDecoderTask({ config: experiment, folder }: PlanContext): Promise<PlannedTask> {
  checkSettings(experiment);
  const path = subfolder(folder, 'vae');
  const vae = await readVaeConfig(path);
  const ofVae = (await storedAs(path, 'diffusion_pytorch_model'))(vaeParameters(vae));
  const judge = hasJudge(experiment) ? allIn('f32')(discriminatorParameters()) : {};
  const { config, stored } = await describedTransformer(folder);
  refuseCausal(config, 'decoder', folder);
  const rules = await describedRules(experiment, folder, config);
  const all = new Symbols({ ...ofVae, ...judge });
  const symbols = (of: TransformerConfig) => new Symbols(stored(transformerParameters(of)));
  return {
    weightBytes: all.bytes + symbols(config).bytes,
    blocks: config.num_layers,
    step(blocks) {
      const part = { ...config, num_layers: blocks };
      const networks = { vae, transformer: { config: part, parameters: symbols(part) } };
      const { loss } = graphOf(experiment, networks, { ...rules, config: part }, config.max_text_seq_length);
      return { trainable: fullTrainable(all, isTrained), loss };
    },
  };
}

export async function decoderTask(context: TaskContext): Promise<TrainingTask> {
  const { config: experiment, device, folder, datasets, matched, shows, loading } = context;
  const { training } = experiment;
  const size = checkSettings(experiment);
  const videos = ({ video, static: still }: Sample) => ({ videos: [video, still] });
  await context.files.check(videos, 'add it, or take the clip out of its list');

  const vae = await CogVideoXVae.load(device, subfolder(folder, 'vae'), {
    onProgress: (done, total) => loading('vae', done, total),
  });
  const { config } = vae;
  const specs = vaeParameters(config);
  const transformer = await loadTransformer(device, folder, undefined, (done, total) =>
    loading('transformer', done, total),
  );
  refuseCausal(transformer.config, 'decoder', folder);
  let pipeline: Promise<DwmPipeline> | undefined;
  const openPipeline = () => {
    pipeline ??= context.openPipeline(transformer);
    return pipeline;
  };
  const examples = await openExamples(context, transformer.config, openPipeline);
  // Of its own: that of the examples runs ahead, and going back is dear.
  const order = batchOrder(experiment, datasets, matched);
  const clips = new ClipStore(device, context.readClip, size);

  const shapes = discriminatorParameters();
  const drawn = hasJudge(experiment) ? initialDiscriminator(training.seed) : new Map<string, Float32Array>();
  const discriminator = [...drawn].map(
    ([name, values]) => [name, DeviceTensor.from(device, values, shapes[name].shape, 'f32', name)] as const,
  );
  const all = new Parameters(new Map([...vae.parameters.tensors, ...discriminator]));
  const isDecoder = (name: string) => name.startsWith('decoder.');
  const trainable = fullTrainable(all, isTrained);
  const encoder = fullTrainable(vae.parameters, (name) => !isDecoder(name));
  const kept = wholeNetwork(encoder.layout, await encoder.initial(), specs);

  const networks = { vae: config, transformer };
  const { latentsOf, inputsOf, loss } = graphOf(experiment, networks, examples.rules, examples.tokens);

  const files = (theta: Float32Array): ModelFiles => {
    const trained = wholeNetwork(trainable.layout, theta, specs);
    const decoder = [...trained].filter(([name]) => isDecoder(name));
    return { weights: new Map([[WEIGHTS, new Map([...decoder, ...kept])]]), texts: new Map() };
  };

  const pixels = size.frames * size.height * size.width * 3;

  return {
    trainable,
    loss,

    async batch(position): Promise<Batch> {
      const count = training.batch_size;
      const latents = makeBatch(await examples.load(position), position, examples.rules);
      const generated = new Float32Array(count);
      const clip = new Float32Array(count * pixels);
      const still = new Float32Array(count * pixels);
      for (let i = 0; i < count; i++) {
        const at = position + i;
        const [word] = philox4x32([at >>> 0, Math.floor(at / 2 ** 32), 0, 0], [training.seed >>> 0, KEY]);
        generated[i] = word / 2 ** 32 < training.decoder_generated_prob ? 1 : 0;
        const sample = order.at(at).clip;
        clip.set(signedValues(await clips.load(sample.video)), i * pixels);
        still.set(signedValues(await clips.load(sample.static)), i * pixels);
      }
      return { ...latents, generated, clip, still };
    },

    files,

    async validate(theta, step, given) {
      const samples = shownSamples(context, given);
      if (samples.length === 0) return {};
      const alone = oneByOne(context, samples);
      const shown = await openExamples(alone, transformer.config, openPipeline);
      const program = await compile(device, inputsOf(1, shown.tokens), (inputs) => ({
        latents: permute(latentsOf(inputs), [0, 1, 4, 2, 3]),
      }));
      const now = await trainedVae(device, config, trainable, theta);
      const kinds = training.decoder_generated_prob > 0 ? ['truth', 'generated'] : ['truth'];
      const pictures: Reconstruction[] = [];
      const totals: Record<string, number> = {};
      try {
        for (let i = 0; i < samples.length; i++) {
          const sample = alone.order.at(i).clip;
          const batch = makeBatch(await shown.load(i), i, shown.rules);
          const [real, still] = [await clips.video(sample.video), await clips.video(sample.static)];
          const region = changedRegion(real, still);
          const truth = signedValues(real.data);
          for (const kind of kinds) {
            await program.run({ ...batch, generated: Float32Array.of(kind === 'truth' ? 0 : 1) });
            const { shown: made, values } = await reconstruct(now, program.outputs.latents);
            const sharp = sharpness(made, real, region);
            for (const [name, value] of Object.entries({
              changed_psnr: regionPsnr(made, real, region, 1) ?? 0,
              gradient: sharp?.gradient ?? 1,
              energy: sharp?.energy ?? 1,
            })) {
              totals[`${kind}_${name}`] = (totals[`${kind}_${name}`] ?? 0) + value / samples.length;
            }
            const name = pictureName(sample, kind);
            const psnr = valuesPsnr(values, truth);
            pictures.push({ name, truth: real, reconstruction: made, psnr });
          }
        }
      } finally {
        now.destroy();
        program.destroy();
      }
      await shows.reconstructions?.(pictures, step);
      return totals;
    },

    finish: async (theta) => files((await theta.read()) as Float32Array),
  };
}

/** The same experiment on `samples` alone, one at a time, each under its own caption. */
function oneByOne(context: TaskContext, samples: readonly Sample[]): TaskContext {
  const { data, training } = context.config;
  const config = {
    ...context.config,
    data: { ...data, dataset_file: [{ path: '', matched: [] }] },
    training: { ...training, batch_size: 1, prompt_swap_prob: 0 },
  };
  const [datasets, matched] = [[samples], new Map<Sample, Sample[]>()];
  return { ...context, config, datasets, matched, order: batchOrder(config, datasets, matched) };
}
