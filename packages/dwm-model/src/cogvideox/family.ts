/**
 * CogVideoX with DWM's conditions, in diffusers' layout: `transformer/`, `vae/`, `scheduler/`, `text_encoder/`,
 * `tokenizer/`.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { type ModelFolder, subfolder } from '@dwm/core-tensor/files';
import type { LoadedTransformer, ModelFamily, ModelShapes } from '../families/family.ts';
import { quantizable, quantized, Symbols, stackShapes, storedAs, textShapes } from '../families/symbols.ts';
import { makeConditioning } from '../pipeline/conditioning.ts';
import { dwmChannels, loadTransformer } from '../pipeline/load-transformer.ts';
import { fromConfig } from '../schedulers/index.ts';
import {
  blockPrefix,
  readTransformerConfig,
  type TransformerConfig,
  transformerParameters,
} from '../transformer/index.ts';
import { CogVideoXVae, latentSize, readVaeConfig, type VaeConfig, vaeParameters } from '../vae/index.ts';
import { readJson } from '../weights/config.ts';
import { loraNeeds } from '../weights/merge-lora.ts';
import type { StoredAs } from '../weights/parameters.ts';
import { cogVideoXFiles } from './files.ts';
import { cogVideoXNetwork } from './network.ts';
import { loadT5 } from './text.ts';

type Loaded = LoadedTransformer<TransformerConfig>;

async function readTransformer(folder: ModelFolder): Promise<{ config: TransformerConfig; file: string }> {
  const { json, file } = await readJson(folder, 'transformer/config.json');
  return { config: readTransformerConfig(json, file), file };
}

export const COGVIDEOX: ModelFamily = {
  name: 'CogVideoX',
  defaults: {
    ...{ numFrames: 49, height: 480, width: 720, fps: 8, numInferenceSteps: 50, guidanceScale: 6 },
    ...{ negativePrompt: '', seed: 42, seedOfClip: 'add-place', zeroIsUnseeded: false },
    ...{ tiling: true, readsTiling: true, takes: 'in-time', fit: 'stretch', chunkRemainder: 'spread' },
  },
  tellsDefaults: false,
  pipelineTypes: ['cogvideox_fun_static_hand_concat', 'cogvideox_fun_static_to_video_pose_concat'],
  padsText: false,
  lacks: {},
  async recognises(folder) {
    if (!(await folder.exists('transformer/config.json'))) return false;
    const { json } = await readJson(folder, 'transformer/config.json');
    return /^CogVideoX/.test(String((json as { _class_name?: unknown } | null)?._class_name ?? ''));
  },
  files: cogVideoXFiles,
  hasText: (folder) => folder.exists('text_encoder/config.json'),
  async textWidth(folder) {
    const { config, file } = await readTransformer(folder);
    return { width: config.text_embed_dim, file };
  },
  async loadScheduler(folder, className) {
    const { json, file } = await readJson(folder, 'scheduler/scheduler_config.json');
    return fromConfig(json, file, className);
  },
  loadText: loadT5,
  loadVae: (device, folder, options) => CogVideoXVae.load(device, subfolder(folder, 'vae'), options),
  loadTransformer,
  network: (loaded, options) => {
    const { config, parameters } = loaded as Loaded;
    return cogVideoXNetwork(config, parameters, options);
  },
  checkParts(folder, loaded, vae, textWidth) {
    const { text_embed_dim, out_channels, temporal_compression_ratio } = (loaded as Loaded).config;
    const { latentChannels, temporalRatio } = vae.shape;
    const expected: [part: string, field: string, expected: number, actual: number][] = [
      ['vae', 'latent_channels', out_channels, latentChannels],
      ['vae', 'temporal_compression_ratio', temporal_compression_ratio, temporalRatio],
      ['text_encoder', 'd_model', text_embed_dim, textWidth ?? text_embed_dim],
    ];
    for (const [part, field, want, got] of expected) {
      if (want === got) continue;
      const file = `${folder}/${part}/config.json`;
      throw new InvalidFileError(file, `${field}: this transformer goes with ${want}, got ${got}`, { field });
    }
  },
  condition: makeConditioning,
  latentSize: async (folder, size) => latentSize(await readVaeConfig(subfolder(folder, 'vae')), size),
  async shapes(folder) {
    const { config: base } = await readTransformer(folder);
    // An inpainting base is widened by the hands when it is loaded.
    const config = { ...base, in_channels: Math.max(base.in_channels, dwmChannels(base.out_channels)) };
    const vae = subfolder(folder, 'vae');
    const stored = await storedAs(folder, 'transformer/diffusion_pytorch_model');
    const vaeShapes = {
      config: await readVaeConfig(vae),
      stored: await storedAs(vae, 'diffusion_pytorch_model'),
    };
    const text = await textShapes(folder);
    return quantizable((dtype) => ({
      ...cogVideoXShapes({ config, stored: quantized(stored, dtype) }, vaeShapes),
      ...text(dtype),
    }));
  },
};

/** A network's configuration, and what its weights are. */
interface Described<Config> {
  readonly config: Config;
  readonly stored: StoredAs;
}

export function cogVideoXShapes(
  transformer: Described<TransformerConfig>,
  vae: Described<VaeConfig>,
): ModelShapes {
  const config = { ...transformer.config, num_layers: 1 };
  const whole = transformer.stored(transformerParameters(transformer.config));
  const weights = new Symbols(whole);
  const shapes = stackShapes(whole, transformer.config.num_layers, blockPrefix);
  const vaeWeights = new Symbols(vae.stored(vaeParameters(vae.config)));
  return {
    stacked: (options) => ({
      network: cogVideoXNetwork(transformer.config, weights, options),
      ...{ weights, shapes },
    }),
    loras: (given) => loraNeeds(given, weights),
    vaeBytes: vaeWeights.bytes,
    network: cogVideoXNetwork(config, new Symbols(transformer.stored(transformerParameters(config)))),
    vae: (device, precision) => new CogVideoXVae(device, vae.config, vaeWeights, precision),
    tiling: true,
  };
}
