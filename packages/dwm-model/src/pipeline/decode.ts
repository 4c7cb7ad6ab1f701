/** The last stage of a run: latents become a video, with the static one where nothing moved if that is wanted. */
import { InvalidArgumentError, parameter } from '@dwm/core-tensor';
import { decodeVideo } from '../video/codec.ts';
import type { DeviceVideo, Latents } from '../video/video.ts';
import { compositeStatic } from './composite.ts';
import type { Conditions } from './condition.ts';
import { DAMAGED_VAE, requireFiniteTensor } from './finite.ts';
import type { GenerateOptions } from './options.ts';
import type { PipelineParts } from './parts.ts';
import { defined } from './settle.ts';

/** Of a run, what its decoding depends on. */
export type DecodeOptions = Pick<
  GenerateOptions,
  'tiling' | 'signal' | 'composite' | 'onWarning' | 'onProgress'
>;

/** The video of latents, the caller's. @throws as `DwmPipeline.decode`. */
export async function decode(
  { device, family, settings: usual, vae, memory }: PipelineParts,
  latents: Latents,
  options: DecodeOptions,
  conditions?: Conditions,
): Promise<DeviceVideo> {
  const settings = { ...family.defaults, ...usual, ...defined(options) };
  const { signal, composite, onWarning } = settings;
  const tiling = memory.decodeTiling ?? settings.tiling;
  options.onProgress?.({ stage: 'decode', done: 0 });
  const decodes = composite ? 2 : 1;
  const decoded = (of: Latents, nth: number) =>
    decodeVideo(vae, of, {
      ...{ tiling, signal, onWarning },
      onProgress: (done) => options.onProgress?.({ stage: 'decode', done: (nth + done) / decodes }),
    });
  const video = await decoded(latents, 0);
  try {
    await requireFiniteTensor(device, parameter(video), 'the decoded video', DAMAGED_VAE);
  } catch (error) {
    video.destroy();
    throw error;
  }
  if (!composite) return video;
  try {
    const { staticVideo, staticLatents } = conditions ?? {};
    if (!staticVideo || !staticLatents)
      throw new InvalidArgumentError('composite', 'needs conditions that were made with it');
    const scenery = await decoded(staticLatents, 1);
    try {
      // An even number of latent frames decodes to 4 a latent frame, as the original has it: 13 become 16.
      return await compositeStatic(device, video, scenery, staticVideo, vae.shape.ratio / 2);
    } finally {
      scenery.destroy();
    }
  } finally {
    video.destroy();
  }
}
