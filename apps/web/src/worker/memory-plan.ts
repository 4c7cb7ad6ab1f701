/** Whether a run fits before it starts, and what would fit in its place. */
import type { LoadedModel } from './model.ts';
import { previewed } from './previews.ts';
import type { MemoryPlan, Settings } from './protocol.ts';

type Size = Pick<Settings, 'width' | 'height' | 'frames'>;

/** Bytes of a run, or Infinity where the device cannot hold a stage of it at all. */
function bytesOf({ pipeline, embeds }: LoadedModel, settings: Settings, size: Size): number {
  const video = { data: new Uint8Array(0), frames: size.frames, height: size.height, width: size.width };
  try {
    const { bytes, stages } = pipeline.estimate({
      staticVideo: video,
      handVideo: video,
      prompt: embeds ?? settings.prompt,
      numFrames: size.frames,
      height: size.height,
      width: size.width,
      guidanceScale: settings.guidance,
    });
    const { vae } = pipeline;
    const preview = vae.estimateDecode(previewed(vae, size).size, { tiling: true }).bytes;
    const most = Math.max(...Object.values(stages));
    // Previews are decoded beside the denoising.
    return bytes - most + Math.max(most, stages.denoise + preview);
  } catch (error) {
    if ((error as Error).name === 'PlanTooLargeError') return Number.POSITIVE_INFINITY;
    throw error;
  }
}

/** Fewer frames first, then smaller pictures of the same shape. */
function smaller({ width, height, frames }: Size): Size[] {
  const sizes: Size[] = [];
  for (const scale of [1, 0.75, 0.5, 0.375, 0.25]) {
    const to16 = (pixels: number) => Math.max(16, Math.round((pixels * scale) / 16) * 16);
    for (const count of [49, 33, 25, 17, 9]) {
      if (count <= frames) sizes.push({ width: to16(width), height: to16(height), frames: count });
    }
  }
  const volume = (size: Size) => size.width * size.height * size.frames;
  return sizes.sort((a, b) => volume(b) - volume(a));
}

/** @throws InvalidArgumentError naming a setting out of its range. */
export function planMemory(model: LoadedModel, settings: Settings, limit: number): MemoryPlan {
  const bytes = bytesOf(model, settings, settings);
  const held = model.pipeline.device.memory.allocated;
  if (bytes <= limit) return { bytes, limit, held, fits: true };
  for (const size of smaller(settings)) {
    const needed = bytesOf(model, settings, size);
    if (needed <= limit) return { bytes, limit, held, fits: false, instead: { ...size, bytes: needed } };
  }
  return { bytes, limit, held, fits: false };
}
