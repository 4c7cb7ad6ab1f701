/** Wan 2.1 Fun InP with DWM's hands beside its own conditions: `WanFunInpaintHandConcatPipeline` of the original. */
import {
  type Device,
  type DType,
  InvalidFileError,
  type ModelFolder,
  type Precision,
  subfolder,
} from '@dwm/core-tensor';
import type { LoadedTransformer, ModelFamily } from '../families/family.ts';
import { dtypeOf, Symbols } from '../families/symbols.ts';
import { fromConfig } from '../schedulers/index.ts';
import { readT5Config } from '../text-encoder/config.ts';
import { readJson } from '../weights/config.ts';
import { closeLora, mergeLora, openLora, trainedChannels, widenChannels } from '../weights/lora.ts';
import type { Parameters } from '../weights/parameters.ts';
import { wanConditioning } from './conditioning.ts';
import { firstThere, isWan, openWanTransformer, transformerPath, UMT5_FILES, wanFiles } from './files.ts';
import { mergeLightX2V, WAN_LORA } from './lora.ts';
import { wanNetwork } from './network.ts';
import { loadUmt5 } from './text.ts';
import { readWanConfig, type WanConfig } from './transformer/config.ts';
import { loadWanTransformer } from './transformer/load.ts';
import { PATCH_WEIGHT, wanParameters } from './transformer/parameters.ts';
import { wanSpatialRatio, wanTemporalRatio } from './vae/config.ts';
import { wanVaeParameters } from './vae/parameters.ts';
import { openWanVae, WAN_VAE_FILES, WanVae } from './vae/vae.ts';

type Loaded = LoadedTransformer<WanConfig>;

/** Of DWM's input for C latent channels: noisy C, mask 4, static C, hands C; its inpainting base has no hands. */
const dwmChannels = (latent: number) => 3 * latent + 4;

/** The original's sampler, from its pipeline file. */
const SCHEDULER = {
  _class_name: 'FlowMatchEulerDiscreteScheduler',
  num_train_timesteps: 1000,
  shift: 5,
} as const;

/** Samplers of Wan's own that are made with a shift of 1 and told theirs for the run. */
const OWN_SAMPLERS: Readonly<Record<string, object>> = {
  FlowUniPCMultistepScheduler: { num_train_timesteps: 1000, shift: 1, solver_order: 2 },
  FlowDPMSolverMultistepScheduler: { num_train_timesteps: 1000, shift: 1 },
};

/** Shift of a run of those. */
const OWN_SHIFT = 3;

const vaeFolder = async (folder: ModelFolder): Promise<ModelFolder> =>
  (await firstThere(folder, WAN_VAE_FILES)) ? folder : subfolder(folder, 'vae');

async function readConfig(folder: ModelFolder): Promise<{ config: WanConfig; file: string }> {
  const { json, file } = await readJson(folder, `${await transformerPath(folder)}config.json`);
  return { config: readWanConfig(json, file), file };
}

const hasText = async (folder: ModelFolder): Promise<boolean> =>
  (await firstThere(folder, [...UMT5_FILES, 'text_encoder/config.json'])) !== undefined;

export const WAN: ModelFamily = {
  name: 'Wan 2.1',
  defaults: {
    ...{ numFrames: 49, height: 480, width: 720, fps: 8, numInferenceSteps: 50, guidanceScale: 6 },
    ...{ negativePrompt: 'bad detailed', seed: 42, seedOfClip: 'same', zeroIsUnseeded: true },
    ...{ tiling: false, readsTiling: false, takes: 'first', fit: 'letterbox', chunkRemainder: 'first' },
  },
  tellsDefaults: true,
  encodedSuffix: '_wan',
  padsText: true,
  lacks: {
    strength: 'Wan has no start from the static video; leave it at 1',
    dynamicGuidance: 'Wan has no dynamic guidance; leave it out',
    'mask none': 'Wan always takes a mask; pass "zeros" or a mask',
  },
  recognises: isWan,
  files: wanFiles,
  hasText,
  async textWidth(folder) {
    const { config, file } = await readConfig(folder);
    return { width: config.textDim, file };
  },
  async loadScheduler(folder, className) {
    const own = className && OWN_SAMPLERS[className];
    if (own) return fromConfig(own, className, className);
    const path = 'scheduler/scheduler_config.json';
    if (!(await folder.exists(path))) return fromConfig(SCHEDULER, path, className);
    const { json, file } = await readJson(folder, path);
    return fromConfig(json, file, className);
  },
  runShift: (className) => (OWN_SAMPLERS[className] ? OWN_SHIFT : undefined),
  loadText: loadUmt5,
  loadVae: async (device, folder, options) => WanVae.load(device, await vaeFolder(folder), options),
  async loadTransformer(device, folder, loraFolder, onProgress) {
    const { config: base, file, checkpoint } = await openWanTransformer(folder);
    const lora = loraFolder && (await openLora(loraFolder));
    let parameters: Parameters | undefined;
    try {
      ({ parameters } = await loadWanTransformer(device, checkpoint, base, onProgress));
      // An inpainting base of 36 channels becomes DWM's network of 52 with zero weights for the hands.
      const expected = dwmChannels(base.outChannels);
      const wanted = (lora && trainedChannels(lora, PATCH_WEIGHT)) ?? expected;
      let config = base;
      if (base.inChannels === expected - base.outChannels) {
        await widenChannels(device, parameters, PATCH_WEIGHT, wanted - base.inChannels);
        config = { ...base, inChannels: wanted };
      }
      if (config.inChannels !== expected) {
        throw new InvalidFileError(
          file,
          `in_channels: DWM needs ${expected} channels (or an inpainting base of ${expected - base.outChannels}), got ${config.inChannels}`,
          { field: 'in_channels' },
        );
      }
      return { config, parameters, lora: lora && (await mergeLora(device, parameters, lora, WAN_LORA)) };
    } catch (error) {
      parameters?.destroy();
      throw error;
    } finally {
      await checkpoint.close();
      if (lora) await closeLora(lora);
    }
  },
  network: (loaded, options = {}) => {
    const { config, parameters } = loaded as Loaded;
    return wanNetwork({ ...config, fps: options.fps ?? config.fps }, parameters, options);
  },
  mergeDistilled: (device, loaded, { source, ...options }) => {
    const { config, parameters } = loaded as Loaded;
    return mergeLightX2V(device, parameters, source, { ...options, blocks: config.layers });
  },
  checkParts(folder, loaded, vae, textWidth) {
    const { outChannels, textDim } = (loaded as Loaded).config;
    const expected: [part: string, expected: number, actual: number][] = [
      ['the latent channels of the VAE', outChannels, vae.shape.latentChannels],
      ['the width of the text encoder', textDim, textWidth ?? textDim],
    ];
    for (const [part, want, got] of expected) {
      if (want !== got)
        throw new InvalidFileError(folder, `${part}: this transformer goes with ${want}, got ${got}`);
    }
  },
  condition: wanConditioning,
  async latentSize(folder, size) {
    const { weights, config } = await openWanVae(await vaeFolder(folder));
    await weights.close();
    const ratio = wanSpatialRatio(config);
    return {
      channels: config.latentChannels,
      frames: (size.frames - 1) / wanTemporalRatio(config) + 1,
      height: size.height / ratio,
      width: size.width / ratio,
    };
  },
  async shapes(folder) {
    const path = await transformerPath(folder);
    const { config: base } = await readConfig(folder);
    const channels = Math.max(base.inChannels, dwmChannels(base.outChannels));
    const config = { ...base, inChannels: channels, layers: 1 };
    const weights = new Symbols(
      wanParameters(config),
      await dtypeOf(folder, `${path}diffusion_pytorch_model`),
    );
    const { weights: vaeWeights, config: vae } = await openWanVae(await vaeFolder(folder));
    await vaeWeights.close();
    const vaeDtype: DType =
      vae.names === 'native' ? 'f32' : await dtypeOf(folder, 'vae/diffusion_pytorch_model');
    const shapes = {
      network: wanNetwork(config, weights),
      vae: (device: Device, precision: Precision) =>
        new WanVae(device, vae, new Symbols(wanVaeParameters(vae), vaeDtype), precision),
      tiling: false,
    };
    if (!(await folder.exists('text_encoder/config.json'))) return shapes;
    const { json, file } = await readJson(folder, 'text_encoder/config.json');
    const dtype = await dtypeOf(subfolder(folder, 'text_encoder'), 'model');
    return { ...shapes, text: { config: readT5Config(json, file), dtype } };
  },
};
