/**
 * Mode `vae`: encoder and decoder on random crops of everything that they will see: the videos, the static videos
 * and the hands. The finished model gets the scaling factor of its own latents. With a frozen encoder, only the decoder.
 */
import { type DeviceTensor, evaluate, spec } from '@dwm/core-tensor';
import { subfolder } from '@dwm/core-tensor/files';
import { Symbols, storedAs } from '../../families/symbols.ts';
import { valuesPsnr } from '../../metrics/psnr.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { wholeNetwork } from '../../training/export.ts';
import type { LossFunction } from '../../training/train-step.ts';
import { fullTrainable } from '../../training/trainable.ts';
import { vaeObjective } from '../../training/vae-objective.ts';
import { CogVideoXVae, latentSize, readVaeConfig, type VaeConfig, vaeParameters } from '../../vae/index.ts';
import { encodeVideo } from '../../video/codec.ts';
import type { Video } from '../../video/video.ts';
import { readJson } from '../../weights/config.ts';
import { ClipStore } from './clip-store.ts';
import { CLIPS, checkFiles, type Sample } from './dataset.ts';
import type { ModelFiles } from './model-folder.ts';
import { trainingSize } from './size.ts';
import type { Inputs, PlanContext, PlannedTask, Reconstruction, TaskContext, TrainingTask } from './task.ts';
import { pictureName, reconstruct, shownSamples, signedValues, trainedVae } from './trained-vae.ts';
import { cropBatches, cropOf, samplerOf } from './vae-crops.ts';

const WEIGHTS = 'vae/diffusion_pytorch_model.safetensors';
const CONFIG = 'vae/config.json';
/** Clips that the scaling factor is measured on. */
const SCALED_CLIPS = 48;

const isFrozenIn =
  ({ training }: ExperimentConfig) =>
  (name: string): boolean =>
    training.vae_freeze_encoder && name.startsWith('encoder.');

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
  const { training } = context.config;
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

  const loss = lossOf(context.config, config);
  const clips = new ClipStore(device, context.readClip, trainingSize(context.config));
  const sampler = samplerOf(context);
  const batch = cropBatches(context, config, sampler, clips);

  const current = (theta: DeviceTensor) => trainedVae(device, config, trainable, theta);

  const files = (theta: Float32Array, configJson: object): ModelFiles => ({
    weights: new Map([
      [WEIGHTS, new Map([...wholeNetwork(trainable.layout, theta, specs), ...frozenTensors])],
    ]),
    texts: new Map([[CONFIG, `${JSON.stringify(configJson, undefined, 2)}\n`]]),
  });

  return {
    trainable,
    loss,
    batch,
    files: (theta) => files(theta, json),

    async validate(theta, step, given) {
      const samples = shownSamples(context, given);
      if (samples.length === 0) return {};
      const now = await current(theta);
      const { shown, numbers } = await reconstructions(now, samples, clips).finally(() => now.destroy());
      await shows.reconstructions?.(shown, step);
      return numbers;
    },

    async finish(theta) {
      const host = (await theta.read()) as Float32Array;
      if (training.vae_freeze_encoder) return files(host, json);
      const now = await current(theta);
      try {
        const scaling = await scalingFactor(now, async function* () {
          for (let i = 0; i < SCALED_CLIPS; i++) {
            const { dataset, clip } = sampler.at(i);
            yield await clips.video(datasets[dataset][clip][CLIPS[i % CLIPS.length]]);
          }
        });
        return files(host, { ...json, scaling_factor: scaling });
      } finally {
        now.destroy();
      }
    },
  };
}

/** All videos of the samples through the VAE, and their PSNR. */
async function reconstructions(
  vae: CogVideoXVae,
  samples: readonly Sample[],
  clips: ClipStore,
): Promise<{ shown: Reconstruction[]; numbers: Record<string, number> }> {
  const shown: Reconstruction[] = [];
  const totals: Record<string, number> = {};
  for (const sample of samples) {
    for (const which of CLIPS) {
      const truth = await clips.video(sample[which]);
      const posterior = await encodeVideo(vae, truth);
      const { mode } = await evaluate(vae.device, { mode: posterior.mode() });
      posterior.destroy();
      const { shown: reconstruction, values } = await reconstruct(vae, mode).finally(() => mode.destroy());
      const psnr = valuesPsnr(values, signedValues(truth.data));
      totals[which] = (totals[which] ?? 0) + psnr / samples.length;
      shown.push({ name: pictureName(sample, which), truth, reconstruction, psnr });
    }
  }
  const numbers = Object.fromEntries(CLIPS.map((which) => [`psnr_${which}`, totals[which]]));
  const psnr = CLIPS.reduce((sum, which) => sum + totals[which], 0) / CLIPS.length;
  return { shown, numbers: { psnr, ...numbers } };
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
