/**
 * Finished clips to look at: a contact sheet of a few moments (static, hands, interaction under one another), and
 * the same clips moving, as one GIF.
 */
import { createRequire } from 'node:module';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { contactSheet, type Frames, frameAt, type RgbImage, readVideo, writePng } from '@dwm/media/node';
import { clipPaths, stemOf } from './clip-files.ts';
import { readStateLog } from './make-clip.ts';
import type { StateLog } from './state-log.ts';

// Its ES module is for bundlers only: Node finds the CommonJS one.
const { applyPalette, GIFEncoder, quantize } = createRequire(import.meta.url)(
  'gifenc',
) as typeof import('gifenc');

/** Moments of a clip, and clips side by side. */
const MOMENTS = 5;
const COLUMNS = 2;
const GAP = 6;
const BACKGROUND = 32;

/** Writes a contact sheet of clips as PNG: a row for each of their videos. */
export async function writeSheet(path: string, root: string, seeds: readonly number[]): Promise<void> {
  const blocks: RgbImage[] = [];
  for (const seed of seeds) {
    const title = titleOf(seed, await readStateLog(root, seed));
    const [still, hands, video] = await readClip(root, seed);
    blocks.push(
      contactSheet(
        [
          { label: title, frames: still },
          { label: 'hands', frames: hands },
          { label: 'interaction', frames: video },
        ],
        { columns: MOMENTS, cellWidth: Math.min(160, Math.max(96, still.width)) },
      ),
    );
  }
  await writePng(path, grid(blocks, COLUMNS));
}

/** Every clip a row of static, hands and interaction, two clips a line, frame by frame at the clips' rate. */
export async function writeGifSheet(path: string, root: string, seeds: readonly number[]): Promise<void> {
  const clips: Frames[][] = [];
  for (const seed of seeds) clips.push(await readClip(root, seed));
  const [first] = clips[0];
  const gif = GIFEncoder();
  const frames = Array.from({ length: first.frames }, (_, i) =>
    grid(
      clips.map((videos) =>
        grid(
          videos.map((video) => frameAt(video, i)),
          videos.length,
        ),
      ),
      COLUMNS,
    ),
  );
  // One palette, from the clips' middle: a palette a frame would flicker.
  const palette = quantize(rgba(frames[frames.length >> 1]), 256);
  for (const frame of frames) {
    const indices = applyPalette(rgba(frame), palette);
    gif.writeFrame(indices, frame.width, frame.height, { palette, delay: 1000 / first.fps });
  }
  gif.finish();
  await writeFileAtomic(path, gif.bytes());
}

/** E.g. `0300004 pull-drawer, push-drawer`. */
export const titleOf = (seed: number, { action, acts }: StateLog): string =>
  `${stemOf(seed)} ${acts?.map((act) => act.action).join(', ') ?? action}`;

async function readClip(root: string, seed: number): Promise<Frames[]> {
  const paths = clipPaths(root, seed);
  const videos: Frames[] = [];
  for (const path of [paths.static, paths.hands, paths.video]) videos.push(await readVideo(path));
  return videos;
}

function grid(images: readonly RgbImage[], columns: number): RgbImage {
  const across = Math.min(columns, images.length);
  const [{ width: w, height: h }] = images;
  const width = across * (w + GAP) - GAP;
  const height = Math.ceil(images.length / across) * (h + GAP) - GAP;
  const data = new Uint8Array(width * height * 3).fill(BACKGROUND);
  images.forEach((image, i) => {
    const [left, top] = [(i % across) * (w + GAP), Math.floor(i / across) * (h + GAP)];
    for (let y = 0; y < h; y++)
      data.set(image.data.subarray(y * w * 3, (y + 1) * w * 3), ((top + y) * width + left) * 3);
  });
  return { data, width, height };
}

function rgba({ data, width, height }: RgbImage): Uint8Array {
  const out = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) out.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return out;
}
