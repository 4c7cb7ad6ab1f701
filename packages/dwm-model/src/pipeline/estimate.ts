/** Device memory of a run before it begins. */
import type { Plan } from '@dwm/core-tensor';
import { besideStages, planTransfer } from '../video/transfer.ts';
import { checkSize } from './check-run.ts';
import { planDenoiser } from './create-denoiser.ts';
import type { GenerateOptions } from './options.ts';
import type { PipelineParts } from './parts.ts';
import { textRows } from './prompts.ts';
import { defined } from './settle.ts';
import { cacheKind } from './step-cache.ts';

/** Bytes on the device. */
export interface MemoryEstimate {
  readonly bytes: number;
  /** What each stage needs beside the weights. */
  readonly stages: Readonly<Record<'resize' | 'encode' | 'denoise' | 'decode', number>>;
  /** Of all that it runs but the text encoder, for `beforeUse.tune`. */
  readonly plans: readonly Plan[];
}

/** Of a run, what its memory depends on. */
export type EstimateOptions = Omit<GenerateOptions, 'draws' | 'signal' | 'onWarning' | 'onProgress'>;

/** That of the greediest stage, weights included. @throws as `DwmPipeline.estimate`. */
export function estimate(parts: PipelineParts, options: EstimateOptions): MemoryEstimate {
  const { device, family, settings, vae, network, memory } = parts;
  const { numFrames, height, width, guidanceScale, tiling, fit, composite } = {
    ...family.defaults,
    ...settings,
    ...defined(options),
  };
  const size = { frames: numFrames, height, width };
  checkSize(size, vae.shape, network);
  const { staticVideo, handVideo, prompt } = options;
  const latent = vae.latentSize(size);
  const textLength = textRows(parts, typeof prompt === 'string' ? undefined : prompt.tokens);
  const shape = { latent, textLength, guided: guidanceScale > 1, cache: cacheKind(options) };
  const others = besideStages(size, latent, composite);
  const { encodeTiling = tiling, decodeTiling = tiling } = memory;
  const resizes = [staticVideo, handVideo].map((clip) => planTransfer(device, clip, size, fit));
  const encode = vae.estimateEncode(size, { tiling: encodeTiling });
  const denoise = planDenoiser(parts, shape);
  const decode = vae.estimateDecode(latent, { tiling: decodeTiling });
  const stages = {
    resize: Math.max(...resizes.map(({ bytes }) => bytes)),
    encode: others.encode + encode.bytes,
    denoise: others.denoise + denoise.bytes,
    decode: others.decode + decode.bytes,
  };
  return {
    bytes: device.memory.allocated + Math.max(...Object.values(stages)),
    stages,
    plans: [...resizes.map(({ plan }) => plan), ...[encode, denoise, decode].flatMap(({ plans }) => plans)],
  };
}
