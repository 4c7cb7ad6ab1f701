/** The first stage of a run: two videos and a prompt become what the denoiser is told. */
import { DeviceTensor, evaluate, InvalidArgumentError, mul } from '@dwm/core-tensor';
import type { LatentSize } from '../vae/index.ts';
import { toDevice } from '../video/transfer.ts';
import { checkVideo, type DeviceVideo, type Latents, type Video, type VideoSize } from '../video/video.ts';
import { checkSize, videoRemarks } from './check-run.ts';
import type { Conditioning } from './conditioning.ts';
import { DAMAGED_VAE, requireFinite, requireFiniteTensor } from './finite.ts';
import { onceEach } from './once-each.ts';
import type { GenerateOptions } from './options.ts';
import type { PipelineParts } from './parts.ts';
import { type EmbeddedText, embedText } from './prompts.ts';
import { settle } from './settle.ts';

/** What a clip is made from, on the device: the latents that stand beside the noisy ones, and the text. */
export class Conditions implements Conditioning {
  readonly condition: DeviceTensor;
  readonly start?: Latents;
  readonly staticVideo?: DeviceVideo;
  readonly staticLatents?: Latents;
  /** Embeddings [negative, positive] or [positive], as many rows each. */
  readonly text: EmbeddedText;

  constructor({ condition, start, staticVideo, staticLatents }: Conditioning, text: EmbeddedText) {
    this.condition = condition;
    this.start = start;
    this.staticVideo = staticVideo;
    this.staticLatents = staticLatents;
    this.text = text;
  }

  /** Frees what sampling alone needs; decoding may need the rest. */
  endSampling(): void {
    this.condition.destroy();
    this.start?.destroy();
  }

  destroy(): void {
    this.endSampling();
    this.staticVideo?.destroy();
    this.staticLatents?.destroy();
  }
}

/** Makes them, the caller's. @throws as `DwmPipeline.generate`. */
export async function condition(parts: PipelineParts, options: GenerateOptions): Promise<Conditions> {
  const { device, family, vae, memory } = parts;
  const { settings, size, latent, draws, guided, needsStart } = settle(parts, options);
  const { staticLatents, signal, composite } = settings;
  const tiling = memory.encodeTiling ?? settings.tiling;
  const report = options.onProgress ?? (() => {});
  const onWarning = onceEach(options.onWarning ?? ((line) => console.warn(line)));
  for (const line of videoRemarks(options.staticVideo, options.handVideo, size.frames)) onWarning(line);

  report({ stage: 'text', done: 0 });
  // Latents that are only decoded are told nothing more.
  const text = settings.denoised
    ? { rows: new Float32Array(0), tokens: 0 }
    : await embedText(parts, options.prompt, settings.negativePrompt, guided);
  requireFinite(text.rows, 'the text embeddings', "the text encoder's weights or the file are damaged");
  signal?.throwIfAborted();

  report({ stage: 'encode', done: 0 });
  const encodes = staticLatents ? 1 : needsStart || typeof settings.mask !== 'string' ? 3 : 2;
  let encoded = 0;
  const onProgress = (done: number) =>
    report({ stage: 'encode', done: Math.min(1, (encoded + done) / encodes) });
  const made = options.condition
    ? { condition: givenCondition(parts, options.condition, latent) }
    : await family.condition(
        {
          ...{ device, size, latent, scaling: vae.shape.scalingFactor },
          fit: settings.fit,
          encode: async (video) => {
            const posterior = await vae.encode(video, { tiling, signal, onWarning, onProgress });
            encoded++;
            try {
              await requireFiniteTensor(device, posterior.mode(), 'an encoded video', DAMAGED_VAE);
            } catch (error) {
              posterior.destroy();
              throw error;
            }
            return posterior;
          },
        },
        { ...settings, draws, needsStart, keepsStatic: composite },
      );
  report({ stage: 'encode', done: 1 });
  return new Conditions(made, text);
}

/** The mode of its posterior, the caller's. @throws as `DwmPipeline.encodeStatic`. */
export async function encodeStatic(
  { device, family, vae, network, memory }: PipelineParts,
  clip: Video,
  size: VideoSize,
  signal?: AbortSignal,
): Promise<Latents> {
  checkSize(size, vae.shape, network);
  checkVideo('static', clip);
  const { fit, tiling: usual } = family.defaults;
  const tiling = memory.encodeTiling ?? usual;
  const video = await toDevice(device, clip, size, fit);
  try {
    const posterior = await vae.encode(video, { tiling, signal });
    try {
      const mode = mul(posterior.mode(), vae.shape.scalingFactor);
      return (await evaluate(device, { mode })).mode;
    } finally {
      posterior.destroy();
    }
  } finally {
    video.destroy();
  }
}

/** A condition that is given in place of the videos'. */
function givenCondition(
  { device, network }: PipelineParts,
  values: Float32Array,
  { frames, channels, height, width }: LatentSize,
): DeviceTensor {
  const shape = [1, frames, network.inputChannels - channels, height, width];
  const expected = shape.reduce((a, b) => a * b);
  if (values.length !== expected) {
    throw new InvalidArgumentError(
      'condition',
      `expected ${expected} values for the conditions of this model and size, got ${values.length}`,
    );
  }
  return DeviceTensor.from(device, values, shape, 'f32', 'condition latents');
}
