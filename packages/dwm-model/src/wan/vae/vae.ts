/**
 * The VAE of Wan 2.1, and that of Wan 2.2 with 48 channels. Latents are normalised: `encode` gives them so, and `decode`
 * takes them so. One latent frame goes through at a time, so that memory does not grow with the clip.
 */
import { type Device, type DeviceTensor, InvalidFileError, type Precision, permute } from '@dwm/core-tensor';
import {
  type Checkpoint,
  type ModelFolder,
  openCheckpoint,
  openTensorFile,
  quote,
} from '@dwm/core-tensor/files';
import { ClipCodec } from '../../vae/clip-codec.ts';
import { ClipNetwork, type StretchNetwork } from '../../vae/clip-network.ts';
import { Posterior } from '../../vae/posterior.ts';
import { readJson } from '../../weights/config.ts';
import { loadParameters, type Parameters } from '../../weights/parameters.ts';
import { WAN_VAE_FILES } from '../files.ts';
import {
  parseWanVaeConfig,
  type WanVaeConfig,
  wanSpatialRatio,
  wanTemporalRatio,
  wanVaeConfigOf,
} from './config.ts';
import { diffusersVaeName } from './names.ts';
import { decodeWanFrames, encodeWanFrames, latentStretches, sampleStretches } from './network.ts';
import { wanVaeParameters } from './parameters.ts';

/** The picture of DWM's runs. Tiles are half of it and overlap by whole latents; the original has none. */
const SAMPLE = { sampleHeight: 480, sampleWidth: 720 };

interface LoadOptions {
  readonly precision?: Precision;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** Wan's VAE, 2.1 and 2.2: clips to normalised latents and back. */
export class WanVae extends ClipCodec {
  readonly config: WanVaeConfig;

  /** @param precision `f16` lets convolutions and products multiply in f16 where the device can. */
  constructor(device: Device, config: WanVaeConfig, parameters: Parameters, precision: Precision = 'f32') {
    const network = (ofStretch: StretchNetwork, stretches: (count: number) => number[]) =>
      new ClipNetwork(device, ofStretch, parameters, precision, stretches);
    const shape = {
      ratio: wanSpatialRatio(config),
      temporalRatio: wanTemporalRatio(config),
      ...SAMPLE,
      colours: config.colours,
      latentChannels: config.latentChannels,
      // Means of blocks need whole blocks; else what the halvings leave over is lost.
      sizeUnit: config.shortcuts ? wanSpatialRatio(config) : config.patch,
      scalingFactor: 1,
    };
    super(device, shape, parameters, {
      encoder: network(
        (passage, video) => permute(encodeWanFrames(config, passage, video), [0, 1, 4, 2, 3]),
        (count) => sampleStretches(config, count),
      ),
      decoder: network(
        (passage, latents) => decodeWanFrames(config, passage, permute(latents, [0, 1, 3, 4, 2])),
        latentStretches,
      ),
    });
    this.config = config;
  }

  /**
   * Loads Wan's own file (`Wan2.1_VAE.pth`, or safetensors with the same names) of a model's folder, or `config.json`
   * and `diffusion_pytorch_model.safetensors` of diffusers' `vae` folder.
   * @throws InvalidFileError when they are damaged, do not fit each other, or ask for what is not supported.
   */
  static async load(device: Device, folder: ModelFolder, options: LoadOptions = {}): Promise<WanVae> {
    const { weights, config } = await openWanVae(folder);
    const { precision, onProgress } = options;
    const stored =
      config.names === 'diffusers' ? (name: string) => diffusersVaeName(config, name) : undefined;
    try {
      const specs = wanVaeParameters(config);
      const parameters = await loadParameters(device, weights, specs, { stored, onProgress });
      return new WanVae(device, config, parameters, precision);
    } finally {
      await weights.close();
    }
  }

  /** The mean normalised, the variance as it is: noise is not divided by the latents' deviation. */
  posterior(moments: DeviceTensor): Posterior {
    const { latentsMean, latentsStd } = this.config;
    return new Posterior(moments, { mean: latentsMean, std: latentsStd });
  }
}

interface OpenWanVae {
  readonly weights: Checkpoint;
  readonly config: WanVaeConfig;
}

/**
 * Opens the weights of a Wan VAE without reading them, and says what they are.
 * @throws InvalidFileError where the folder holds none, or what cannot be one.
 */
export async function openWanVae(folder: ModelFolder): Promise<OpenWanVae> {
  for (const name of WAN_VAE_FILES) {
    if (!(await folder.exists(name))) continue;
    const weights = await openTensorFile(await folder.open(name));
    try {
      return { weights, config: wanVaeConfigOf(weights) };
    } catch (error) {
      await weights.close();
      throw error;
    }
  }
  if (!(await folder.exists('config.json'))) {
    throw new InvalidFileError(
      folder.name,
      `holds no VAE of Wan: neither ${WAN_VAE_FILES.map(quote).join(', ')}, nor config.json with diffusion_pytorch_model.safetensors`,
    );
  }
  const { json, file } = await readJson(folder, 'config.json');
  const config = parseWanVaeConfig(json, file);
  return { weights: await openCheckpoint(folder, 'diffusion_pytorch_model'), config };
}
