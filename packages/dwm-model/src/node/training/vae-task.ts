/**
 * Mode `vae`: encoder and decoder on random crops of everything that they will see: the videos, the static videos
 * and the hands. The finished model gets the scaling factor of its own latents. With a frozen encoder, only the decoder.
 */
import {
  type DeviceTensor,
  elementCount,
  evaluate,
  InvalidArgumentError,
  philox4x32,
  randomReference,
  spec,
} from '@dwm/core-tensor';
import { subfolder } from '@dwm/core-tensor/files';
import { Symbols, storedAs } from '../../families/symbols.ts';
import { valuesPsnr } from '../../metrics/psnr.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { MixedSampler } from '../../training/data/sampler.ts';
import { wholeNetwork } from '../../training/export.ts';
import type { LossFunction } from '../../training/train-step.ts';
import { fullTrainable } from '../../training/trainable.ts';
import { vaeObjective } from '../../training/vae-objective.ts';
import {
  CogVideoXVae,
  latentSize,
  readVaeConfig,
  SAMPLE_FRAMES,
  spatialRatio,
  type VaeConfig,
  vaeParameters,
} from '../../vae/index.ts';
import { encodeVideo } from '../../video/codec.ts';
import type { Video } from '../../video/video.ts';
import { readJson } from '../../weights/config.ts';
import { ClipStore } from './clip-store.ts';
import { CLIPS, checkFiles, type Sample } from './dataset.ts';
import type { ModelFiles } from './model-folder.ts';
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

const KEYS = { choices: 0x56414530, noise: 0x56414531 };
const WEIGHTS = 'vae/diffusion_pytorch_model.safetensors';
const CONFIG = 'vae/config.json';
/** Clips that the scaling factor is measured on. */
const SCALED_CLIPS = 48;

const isFrozenIn =
  ({ training }: ExperimentConfig) =>
  (name: string): boolean =>
    training.vae_freeze_encoder && name.startsWith('encoder.');

/** Frames, height and width of what is learned from. @throws InvalidArgumentError for sizes that the VAE does not take. */
function cropOf(experiment: ExperimentConfig, config: VaeConfig): readonly [number, number, number] {
  const { training } = experiment;
  const size = trainingSize(experiment);
  const [frames, height, width] = training.vae_crop ?? [size.frames, size.height, size.width];
  const ratio = spatialRatio(config);
  // Other numbers of frames come back from the decoder as more than went in.
  const fits = (frames - 1) % SAMPLE_FRAMES === 0 && height % ratio === 0 && width % ratio === 0;
  if (!fits || frames > size.frames || height > size.height || width > size.width) {
    throw new InvalidArgumentError(
      training.vae_crop ? 'training.vae_crop' : 'data buckets',
      `the VAE learns from ${SAMPLE_FRAMES} k + 1 frames and multiples of ${ratio} pixels, at most [${size.frames}, ${size.height}, ${size.width}]; got [${frames}, ${height}, ${width}]`,
    );
  }
  return [frames, height, width];
}

function lossOf(experiment: ExperimentConfig, config: VaeConfig): LossFunction<Inputs> {
  const { training } = experiment;
  const [frames, height, width] = cropOf(experiment, config);
  const latent = latentSize(config, { frames, height, width });
  return {
    inputs: {
      video: spec([training.batch_size, frames, height, width, 3]),
      noise: spec([training.batch_size, latent.frames, latent.height, latent.width, latent.channels]),
    },
    loss: (weights, { video, noise }) =>
      vaeObjective(
        config,
        weights,
        { video, noise },
        {
          distance: training.vae_loss,
          klWeight: training.vae_kl_weight,
          gradientWeight: training.vae_gradient_weight,
        },
      ).loss,
  };
}

/** The task from configurations and headers; @throws as `vaeTask` for what these tell. */
export async function planVaeTask({ config: experiment, folder }: PlanContext): Promise<PlannedTask> {
  const path = subfolder(folder, 'vae');
  const config = await readVaeConfig(path);
  const base = new Symbols((await storedAs(path, 'diffusion_pytorch_model'))(vaeParameters(config)));
  const isFrozen = isFrozenIn(experiment);
  const trainable = fullTrainable(base, (name) => !isFrozen(name));
  const step = () => ({ trainable, loss: lossOf(experiment, config) });
  return { weightBytes: base.bytes, blocks: 1, step };
}

export async function vaeTask(context: TaskContext): Promise<TrainingTask> {
  const { device, datasets, shows, folder } = context;
  const { training, data } = context.config;
  const { seed } = training;
  const size = trainingSize(context.config);
  const clipsOf = (sample: Sample) => ({ videos: CLIPS.map((which) => sample[which]) });
  await checkFiles(datasets.flat(), clipsOf, 'add it, or take the clip out of its list');
  const vae = await CogVideoXVae.load(device, subfolder(folder, 'vae'), {
    onProgress: (done, total) => context.loading('vae', done, total),
  });
  const { config } = vae;
  const specs = vaeParameters(config);
  const json = (await readJson(folder, CONFIG)).json as object;
  const isFrozen = isFrozenIn(context.config);
  const trainable = fullTrainable(vae.parameters, (name) => !isFrozen(name));
  const frozen = fullTrainable(vae.parameters, isFrozen);
  const frozenTensors = wholeNetwork(frozen.layout, await frozen.initial(), specs);

  const [frames, height, width] = cropOf(context.config, config);
  const loss = lossOf(context.config, config);
  const noiseCount = elementCount(loss.inputs.noise.shape.slice(1));
  const clips = new ClipStore(device, context.readClip, size);
  const sampler = new MixedSampler(
    seed,
    data.dataset_file.map(({ weight }, i) => ({ count: datasets[i].length, weight })),
  );

  /** The clip of a position in the run, and where its crop begins: frame, row, column. */
  async function choose(position: number): Promise<{ clip: Uint8Array; at: number[] }> {
    const draws = [0, 1].flatMap((word) => [
      ...philox4x32([position >>> 0, Math.floor(position / 2 ** 32), word, 0], [seed >>> 0, KEYS.choices]),
    ]);
    const below = (draw: number, count: number) => Math.floor((draws[draw] / 2 ** 32) * count);
    const { dataset, clip } = sampler.at(position);
    const which = CLIPS[below(0, CLIPS.length)];
    return {
      clip: await clips.load(datasets[dataset][clip][which]),
      at: [
        below(1, size.frames - frames + 1),
        below(2, size.height - height + 1),
        below(3, size.width - width + 1),
      ],
    };
  }

  async function batch(position: number): Promise<Batch> {
    const count = training.batch_size;
    const pixels = frames * height * width * 3;
    const video = new Float32Array(count * pixels);
    const noise = new Float32Array(count * noiseCount);
    for (let i = 0; i < count; i++) {
      const { clip, at } = await choose(position + i);
      const [first, top, left] = at;
      let write = i * pixels;
      for (let f = 0; f < frames; f++) {
        for (let y = 0; y < height; y++) {
          const read = (((first + f) * size.height + top + y) * size.width + left) * 3;
          for (let x = 0; x < 3 * width; x++) video[write++] = clip[read + x] / 127.5 - 1;
        }
      }
      const normals = { count: noiseCount, distribution: 'normal', stream: (position + i) >>> 0 } as const;
      noise.set(randomReference(normals, [seed >>> 0, KEYS.noise]), i * noiseCount);
    }
    return { video, noise };
  }

  const current = (theta: DeviceTensor) => trainedVae(device, config, trainable, theta);

  const files = (theta: Float32Array, configJson: object): ModelFiles => ({
    weights: new Map([
      [WEIGHTS, new Map([...wholeNetwork(trainable.layout, theta, specs), ...frozenTensors])],
    ]),
    texts: new Map([[CONFIG, `${JSON.stringify(configJson, undefined, 2)}\n`]]),
  });

  /** A clip at the size of training. */
  const whole = async (path: string): Promise<Video> => ({ ...size, data: await clips.load(path) });

  return {
    trainable,
    loss,
    batch,
    files: (theta) => files(theta, json),

    async validate(theta, step, given) {
      const samples = shownSamples(context, given);
      if (samples.length === 0) return {};
      const now = await current(theta);
      const shown: Reconstruction[] = [];
      const totals: Record<string, number> = {};
      try {
        for (const sample of samples) {
          for (const which of CLIPS) {
            const truth = await whole(sample[which]);
            const posterior = await encodeVideo(now, truth);
            const { mode } = await evaluate(device, { mode: posterior.mode() });
            posterior.destroy();
            const { shown: reconstruction, values } = await reconstruct(now, mode).finally(() =>
              mode.destroy(),
            );
            const quality = valuesPsnr(values, signedValues(truth.data));
            totals[which] = (totals[which] ?? 0) + quality / samples.length;
            const name = pictureName(sample, which);
            shown.push({ name, truth, reconstruction, psnr: quality });
          }
        }
      } finally {
        now.destroy();
      }
      await shows.reconstructions?.(shown, step);
      const numbers = Object.fromEntries(CLIPS.map((which) => [`psnr_${which}`, totals[which]]));
      return { psnr: CLIPS.reduce((sum, which) => sum + totals[which], 0) / CLIPS.length, ...numbers };
    },

    async finish(theta) {
      const host = (await theta.read()) as Float32Array;
      if (training.vae_freeze_encoder) return files(host, json);
      const now = await current(theta);
      try {
        const scaling = await scalingFactor(now, async function* () {
          for (let i = 0; i < SCALED_CLIPS; i++) {
            const { dataset, clip } = sampler.at(i);
            yield await whole(datasets[dataset][clip][CLIPS[i % CLIPS.length]]);
          }
        });
        return files(host, { ...json, scaling_factor: scaling });
      } finally {
        now.destroy();
      }
    },
  };
}

/** 1 / standard deviation of the latents of `clips`, samples of the posterior as training takes them. */
async function scalingFactor(vae: CogVideoXVae, clips: () => AsyncIterable<Video>): Promise<number> {
  let [count, total, squares] = [0, 0, 0];
  for await (const clip of clips()) {
    const posterior = await encodeVideo(vae, clip);
    const values = await evaluate(vae.device, { mode: posterior.mode(), logvar: posterior.logvar() });
    posterior.destroy();
    const [mode, logvar] = (await Promise.all([values.mode.read(), values.logvar.read()])) as Float32Array[];
    for (const tensor of Object.values(values)) tensor.destroy();
    for (let i = 0; i < mode.length; i++) {
      total += mode[i];
      squares += mode[i] * mode[i] + Math.exp(logvar[i]);
    }
    count += mode.length;
  }
  return 1 / Math.sqrt(squares / count - (total / count) ** 2);
}
