/** A folder of pictures as a video: one frame a file, in the order of their numbers. */
import { readdir } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import type { DecodedFrame, OpenVideo, RgbImage } from '../index.ts';
import { naturalOrder } from '../natural-order.ts';
import { readImage } from './images.ts';

/** Kinds of pictures by the endings of their names. */
const KINDS: Record<string, string> = { '.png': 'PNG', '.jpg': 'JPEG', '.jpeg': 'JPEG', '.webp': 'WebP' };
/** Pictures that are known, and not read. */
const OTHERS = /^\.(avif|bmp|dpx|exr|gif|heic|heif|hdr|jp2|jxl|ppm|tga|tiff?)$/i;

/** Rate of a folder of frames, which does not say, unless a command does. */
export const FOLDER_FPS = 8;

/**
 * Paths of the frames in a folder, in order. Hidden files and those that are no pictures are left out.
 * @throws InvalidFileError where there are none, of several kinds, or several series of them.
 */
export async function frameFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => !entry.name.startsWith('.') && !entry.isDirectory());
  const other = files.find(({ name }) => OTHERS.test(extname(name)));
  const names = files.map(({ name }) => name).filter((name) => kindOf(name));
  const kinds = tally(files.map(({ name }) => kindOf(name) ?? otherKind(name)));
  if (names.length === 0) {
    const convert = other && `; convert them: ffmpeg -i %05d${extname(other.name)} %05d.png`;
    throw new InvalidFileError(
      folder,
      `holds no PNG, JPEG or WebP pictures${other ? `, but ${extname(other.name)} files` : ''}; expected a video or a folder of frames${convert ?? ''}`,
    );
  }
  if (kinds.size > 1) {
    const counts = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(' and ');
    throw new InvalidFileError(
      folder,
      `holds ${counts} pictures, expected frames of one kind; move the others out`,
    );
  }
  // Where every name is a series of its own, their letters say the order.
  const series = [...tally(names.map((name) => basename(name, extname(name)).replace(/\d+/g, '*')))];
  if (series.length > 1 && series.length < names.length) {
    const shown = series.slice(0, 3).map(([name, count]) => `${count} ${quote(name)}`);
    throw new InvalidFileError(
      folder,
      `holds several series of pictures (${shown.join(', ')}), expected the frames of one video; move the others out`,
    );
  }
  return names.sort(naturalOrder).map((name) => join(folder, name));
}

const kindOf = (name: string): string | undefined => KINDS[extname(name).toLowerCase()];
const otherKind = (name: string) => (OTHERS.test(extname(name)) ? extname(name).toLowerCase() : undefined);

/** How often each name is there. */
function tally(names: readonly (string | undefined)[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/**
 * The frames of a folder as a video, read when they are asked for.
 * @param fps their rate.
 */
export async function openFrameFolder(folder: string, fps: number): Promise<OpenVideo> {
  const files = await frameFiles(folder);
  const first = await readImage(files[0]);
  const { height, width } = first;
  return {
    name: folder,
    info: {
      ...{ frames: files.length, height, width, fps, pixelAspect: 1 },
      timestamps: files.map((_, i) => i / fps),
      lastDuration: 1 / fps,
      codec: 'pictures',
    },
    frames: (indices) => framesOf(files, first, fps, indices),
    close: () => {},
  };
}

async function* framesOf(
  files: readonly string[],
  first: RgbImage,
  fps: number,
  indices: readonly number[],
): AsyncGenerator<DecodedFrame, void, undefined> {
  const { height, width } = first;
  // Indices ascend, and a frame may be asked for several times over.
  let [at, image] = [0, first];
  for (const index of indices) {
    if (index !== at) [at, image] = [index, await readImage(files[index])];
    if (image.height !== height || image.width !== width) {
      throw new InvalidFileError(
        files[index],
        `is ${image.width}x${image.height}, but ${files[0]} is ${width}x${height}; all frames must be of one size`,
      );
    }
    yield {
      ...{ index, timestamp: index / fps, height, width },
      rgb: async (target = new Uint8Array(height * width * 3)) => {
        target.set(image.data);
        return target;
      },
    };
  }
}
