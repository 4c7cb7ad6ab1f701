/** A video that Chromium shows in place of a webcam: frames of a clip as a .y4m file, over and over. */
import { writeFile } from 'node:fs/promises';
import { decodeFrames } from '@dwm/media/node';

/** Studio-range BT.601, a colour sample for each 2x2 pixels. */
function yuv420(rgb: Uint8Array, width: number, height: number): Uint8Array {
  const out = new Uint8Array(width * height * 1.5);
  const [u, v] = [width * height, width * height * 1.25];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [r, g, b] = rgb.subarray(3 * (y * width + x));
      out[y * width + x] = 16 + 0.257 * r + 0.504 * g + 0.098 * b;
      if (x % 2 || y % 2) continue;
      const at = (y / 2) * (width / 2) + x / 2;
      out[u + at] = 128 - 0.148 * r - 0.291 * g + 0.439 * b;
      out[v + at] = 128 + 0.439 * r - 0.368 * g - 0.071 * b;
    }
  return out;
}

/** @returns what tells Chromium to show these frames of a clip. */
export async function fakeCamera(clip: string, indices: readonly number[], to: string): Promise<string[]> {
  const parts: (string | Uint8Array)[] = [];
  for await (const frame of decodeFrames(clip, { indices: [...indices] })) {
    const { width, height } = frame;
    if (parts.length === 0) parts.push(`YUV4MPEG2 W${width} H${height} F8:1 Ip A1:1 C420jpeg\n`);
    parts.push('FRAME\n', yuv420(await frame.rgb(), width, height));
  }
  await writeFile(to, Buffer.concat(parts.map((part) => Buffer.from(part))));
  return ['--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${to}`];
}
