/** The VAE of CogVideoX. */
import { type Device, type DeviceTensor, type Precision, permute } from '@dwm/core-tensor';
import { type ModelFolder, openCheckpoint } from '@dwm/core-tensor/files';
import { loadParameters, type Parameters } from '../weights/parameters.ts';
import { ClipCodec } from './clip-codec.ts';
import { ClipNetwork, type StretchNetwork } from './clip-network.ts';
import { readVaeConfig, spatialRatio, type VaeConfig } from './config.ts';
import { decodeFrames } from './decoder.ts';
import { encodeFrames } from './encoder.ts';
import { vaeParameters } from './parameters.ts';
import { Posterior } from './posterior.ts';
import { LATENT_FRAMES, SAMPLE_FRAMES, stretches } from './stretches.ts';

/** CogVideoX's VAE: clips to latents and back. */
export class CogVideoXVae extends ClipCodec {
  readonly config: VaeConfig;

  /** @param precision `f16` lets the convolutions multiply in f16 where the device can. */
  constructor(device: Device, config: VaeConfig, parameters: Parameters, precision: Precision = 'f32') {
    const network = (ofStretch: StretchNetwork, stretchFrames: number) =>
      new ClipNetwork(device, ofStretch, parameters, precision, (count) => stretches(count, stretchFrames));
    const shape = {
      ratio: spatialRatio(config),
      temporalRatio: config.temporal_compression_ratio,
      sampleHeight: config.sample_height,
      sampleWidth: config.sample_width,
      colours: config.in_channels,
      latentChannels: config.latent_channels,
      sizeUnit: spatialRatio(config),
      scalingFactor: config.scaling_factor,
    };
    super(device, shape, parameters, {
      encoder: network(
        (passage, video) => permute(encodeFrames({ ...passage, config }, video), [0, 1, 4, 2, 3]),
        SAMPLE_FRAMES,
      ),
      decoder: network(
        (passage, latents) => decodeFrames({ ...passage, config }, permute(latents, [0, 1, 3, 4, 2])),
        LATENT_FRAMES,
      ),
    });
    this.config = config;
  }

  /**
   * Loads `config.json` and `diffusion_pytorch_model.safetensors` of a VAE's folder.
   * @throws InvalidFileError when they are damaged, do not fit each other, or ask for what is not supported.
   */
  static async load(
    device: Device,
    folder: ModelFolder,
    options: {
      readonly precision?: Precision;
      readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
    } = {},
  ): Promise<CogVideoXVae> {
    const config = await readVaeConfig(folder);
    const checkpoint = await openCheckpoint(folder, 'diffusion_pytorch_model');
    try {
      const parameters = await loadParameters(device, checkpoint, vaeParameters(config), options);
      return new CogVideoXVae(device, config, parameters, options.precision);
    } finally {
      await checkpoint.close();
    }
  }

  posterior(moments: DeviceTensor): Posterior {
    return new Posterior(moments);
  }
}
