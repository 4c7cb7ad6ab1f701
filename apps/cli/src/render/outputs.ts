/** Writing conditioning clips: videos, frames as lossless pictures, depth. */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { saveSafetensors, writeFileAtomic } from '@dwm/core-tensor/node';
import { encodeGrey16Png, type Frames, frameAt, writePng } from '@dwm/media/node';
import type { Reporter } from '../report.ts';

export const frameName = (index: number): string => `${String(index).padStart(5, '0')}.png`;

/** One PNG a frame; `dwm generate` takes the folder in place of a video. */
export async function writeFrames(folder: string, clip: Frames): Promise<void> {
  for (let i = 0; i < clip.frames; i++) await writePng(join(folder, frameName(i)), frameAt(clip, i));
}

/** H.264 has even sizes only. */
export function sayIfOdd({ width, height }: { width: number; height: number }, reporter: Reporter): void {
  if (width % 2 === 0 && height % 2 === 0) return;
  const even = `${width + (width % 2)}x${height + (height % 2)}`;
  reporter.warn(
    `.mp4 has even sizes only: the videos of ${width}x${height} pixels are made ${even} by a repeated row or column; choose an even --width and --height`,
  );
}

/** Beyond this a 16-bit picture has no millimetres. */
const FARTHEST = 65.535;

/** A frame of depth as 16-bit grey: millimetres, 0 where nothing is, 65535 for what is farther away. */
export async function writeDepthPicture(
  path: string,
  metres: Float32Array,
  height: number,
  width: number,
): Promise<void> {
  const millimetres = Uint16Array.from(metres, (value) => Math.round(Math.min(value, FARTHEST) * 1000));
  await writeFileAtomic(path, await encodeGrey16Png(millimetres, height, width));
}

/** `depth` [frames, height, width]: metres, 0 where nothing is. */
export async function writeDepthTensor(
  path: string,
  metres: readonly Float32Array[],
  height: number,
  width: number,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const data = new Float32Array(metres.length * height * width);
  for (const [i, frame] of metres.entries()) data.set(frame, i * height * width);
  await saveSafetensors(
    path,
    new Map([['depth', { dtype: 'F32' as const, shape: [metres.length, height, width], data }]]),
  );
}
