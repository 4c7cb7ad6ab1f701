/** A video's frames at their place in the clip. */
import { decodeFrames, type Frames, frameAt } from '@dwm/media/node';
import { type Placement, place } from '../render/fixed-camera.ts';
import type { Flags } from './flags.ts';

/** Black frames behind the last. */
export async function readPlaced(
  path: string,
  indices: readonly number[],
  placement: Placement,
  { frames, width, height, fps }: Flags,
  onFrame: (done: number, frames: number) => void,
  signal: AbortSignal,
): Promise<Frames> {
  const clip: Frames = { data: new Uint8Array(frames * height * width * 3), frames, height, width, fps };
  let done = 0;
  let rgb: Uint8Array | undefined;
  for await (const frame of decodeFrames(path, { indices })) {
    signal.throwIfAborted();
    rgb = await frame.rgb(rgb);
    place({ data: rgb, height: frame.height, width: frame.width }, placement, frameAt(clip, done));
    onFrame(++done, indices.length);
  }
  return clip;
}
