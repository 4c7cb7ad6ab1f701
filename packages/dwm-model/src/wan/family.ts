/** Wan 2.1 Fun InP with DWM's hands beside its own conditions: `WanFunInpaintHandConcatPipeline` of the original. */
import { type Device, InvalidFileError, type Precision } from '@dwm/core-tensor';
import { type ModelFolder, openCheckpoint, subfolder } from '@dwm/core-tensor/files';
import type { LoadedTransformer, ModelFamily } from '../families/family.ts';
import {
  allIn,
  quantizable,
  quantized,
  Symbols,
  stackShapes,
  storedAs,
  textShapes,
  textStack,
} from '../families/symbols.ts';
import { fromConfig } from '../schedulers/index.ts';
import { latentSizeOf } from '../vae/index.ts';
import { readJson } from '../weights/config.ts';
import { widenChannels } from '../weights/input-channels.ts';
import { loadWithLoras } from '../weights/load-blocks.ts';
import { loraNeeds } from '../weights/merge-lora.ts';
import { firstThere } from '../weights/model-files.ts';
import { wanConditioning } from './conditioning.ts';
import {
  hasUmt5,
  isWan,
  readWanTransformer,
  UMT5_FILES,
  WAN_TYPES,
  WAN_VAE_FILES,
  wanFiles,
} from './files.ts';
import { mergeLightX2V, WAN_LORA } from './lora.ts';
import { wanNetwork } from './network.ts';
import { loadUmt5, openUmt5 } from './text.ts';
import type { WanConfig } from './transformer/config.ts';
import { loadWanTransformer, wanStoredName, withHeaders } from './transformer/load.ts';
import { PATCH_WEIGHT, wanBlockPrefix, wanParameters } from './transformer/parameters.ts';
import { wanSpatialRatio, wanTemporalRatio } from './vae/config.ts';
import { wanVaeParameters } from './vae/parameters.ts';
import { openWanVae, WanVae } from './vae/vae.ts';

type Loaded = LoadedTransformer<WanConfig>;

/** Of DWM's input for C latent channels: noisy C, mask 4, static C, hands C; its inpainting base has no hands. */
export const dwmChannels = (latent: number) => 3 * latent + 4;

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

export const WAN: ModelFamily = {
  name: 'Wan 2.1',
  defaults: {
    ...{ numFrames: 49, height: 480, width: 720, fps: 8, numInferenceSteps: 50, guidanceScale: 6 },
    ...{ negativePrompt: 'bad detailed', seed: 42, seedOfClip: 'same', zeroIsUnseeded: true },
    ...{ tiling: false, readsTiling: false, takes: 'first', fit: 'letterbox', chunkRemainder: 'first' },
  },
  tellsDefaults: true,
  pipelineTypes: WAN_TYPES,
  typesWithoutHands: ['wan2.1_fun_inp'],
  padsText: true,
  lacks: {
    strength: 'Wan has no start from the static video; leave it at 1',
    dynamicGuidance: 'Wan has no dynamic guidance; leave it out',
    'mask none': 'Wan always takes a mask; pass "zeros" or a mask',
  },
  recognises: isWan,
  files: wanFiles,
  hasText: hasUmt5,
  async textWidth(folder) {
    const { config, file } = await readWanTransformer(folder);
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
  async loadTransformer(device, folder, givenLoras, onProgress, { residentBlocks } = {}) {
    const { path, config: given, file } = await readWanTransformer(folder);
    return loadWithLoras(device, givenLoras, {
      async load() {
        const checkpoint = await openCheckpoint(folder, `${path}diffusion_pytorch_model`);
        return loadWanTransformer(device, checkpoint, given, onProgress, residentBlocks);
      },
      patch: PATCH_WEIGHT,
      async fit({ config: base, parameters }, trained) {
        // An inpainting base of 36 channels becomes DWM's network of 52 with zero weights for the hands.
        const expected = dwmChannels(base.outChannels);
        const plain = expected - base.outChannels;
        // A patch projection that was trained without hands is merged into the first channels.
        const wanted = trained === undefined || trained === plain ? expected : trained;
        let config = base;
        if (base.inChannels === plain) {
          await widenChannels(device, parameters, PATCH_WEIGHT, wanted - base.inChannels);
          config = { ...base, inChannels: wanted };
        }
        if (config.inChannels !== expected) {
          throw new InvalidFileError(
            file,
            `in_channels: DWM needs ${expected} channels (or an inpainting base of ${plain}), got ${config.inChannels}`,
            { field: 'in_channels' },
          );
        }
        return config;
      },
      merge: WAN_LORA,
    });
  },
  network: (loaded, options = {}) => {
    const { config, parameters } = loaded as Loaded;
    return wanNetwork({ ...config, fps: options.fps ?? config.fps }, parameters, options);
  },
  mergeDistilled: (device, loaded, { source, ...options }) => {
    const { config, ...blocks } = loaded as Loaded;
    return mergeLightX2V(device, blocks, source, { ...options, blocks: config.layers });
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
    return latentSizeOf(
      {
        ratio: wanSpatialRatio(config),
        temporalRatio: wanTemporalRatio(config),
        latentChannels: config.latentChannels,
      },
      size,
    );
  },
  async shapes(folder) {
    const { path, config: read } = await readWanTransformer(folder);
    const base = await withHeaders(read, folder, path);
    const channels = Math.max(base.inChannels, dwmChannels(base.outChannels));
    const config = { ...base, inChannels: channels, layers: 1 };
    const wholeConfig = { ...config, layers: base.layers };
    const asFiled = await storedAs(folder, `${path}diffusion_pytorch_model`, {
      stored: wanStoredName(base),
    });
    const { weights: vaeWeights, config: vae } = await openWanVae(await vaeFolder(folder));
    await vaeWeights.close();
    const vaeStored =
      vae.names === 'native' ? allIn('f32') : await storedAs(folder, 'vae/diffusion_pytorch_model');
    const vaeSymbols = new Symbols(vaeStored(wanVaeParameters(vae)));
    const ownText = await firstThere(folder, UMT5_FILES);
    const opened = ownText === undefined ? undefined : await openUmt5(folder);
    await opened?.checkpoint.close();
    const ownTexts = opened && { text: textStack(opened.config, allIn('bf16')) };
    const text = ownTexts ? () => ownTexts : await textShapes(folder);
    return quantizable((dtype) => {
      const stored = quantized(asFiled, dtype);
      const whole = stored(wanParameters(wholeConfig));
      const weights = new Symbols(whole);
      const shapes = stackShapes(whole, base.layers, wanBlockPrefix);
      return {
        stacked: (options) => ({
          network: wanNetwork(wholeConfig, weights, options),
          ...{ weights, shapes },
        }),
        loras: (given) => loraNeeds(given, weights, WAN_LORA),
        vaeBytes: vaeSymbols.bytes,
        network: wanNetwork(config, new Symbols(stored(wanParameters(config)))),
        vae: (device: Device, precision: Precision) => new WanVae(device, vae, vaeSymbols, precision),
        tiling: false,
        ...text(dtype),
      };
    });
  },
};
