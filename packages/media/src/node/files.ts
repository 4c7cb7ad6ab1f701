/**
 * The package's functions with paths in place of Blobs and bytes. A path is checked before any decoder sees it,
 * so a wrong name gets a sentence about the name.
 */
import { access, constants, readFile, stat } from 'node:fs/promises';
import { InvalidFileError } from '@dwm/core-tensor';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { FilePathSource } from 'mediabunny';
import { PNG } from 'pngjs';
import * as media from '../index.ts';
import { installWebCodecs } from './webcodecs.ts';

async function checkReadable(path: string, what: string): Promise<void> {
  const entry = await stat(path).catch(() => {
    throw new InvalidFileError(path, `no such file; check the path to the ${what}`);
  });
  if (entry.isDirectory())
    throw new InvalidFileError(path, `is a folder; give the path of one ${what} inside`);
  if (entry.size === 0) {
    throw new InvalidFileError(path, `is empty (0 bytes), expected a ${what}; copy the file again`);
  }
  await access(path, constants.R_OK).catch(() => {
    throw new InvalidFileError(path, 'cannot be read; check its permissions');
  });
}

async function videoSource(source: string | Blob): Promise<Blob | media.VideoSource> {
  await installWebCodecs();
  if (typeof source !== 'string') return source;
  await checkReadable(source, 'video');
  return { name: source, source: new FilePathSource(source) };
}

/** `videoInfo` for a path or a Blob. */
export async function videoInfo(source: string | Blob): Promise<media.VideoInfo> {
  return media.videoInfo(await videoSource(source));
}

/** `decodeFrames` for a path or a Blob. */
export async function* decodeFrames(
  source: string | Blob,
  options?: Parameters<typeof media.decodeFrames>[1],
): AsyncGenerator<media.DecodedFrame, void, undefined> {
  yield* media.decodeFrames(await videoSource(source), options);
}

/** `readVideo` for a path or a Blob: [frames, height, width, 3]. */
export async function readVideo(
  source: string | Blob,
  options?: Parameters<typeof media.readVideo>[1],
): Promise<media.Frames> {
  return media.readVideo(await videoSource(source), options);
}

/** `encodeVideo` in Node: the bytes of an .mp4. */
export async function encodeVideo(clip: media.Frames, options?: media.EncodeOptions): Promise<Uint8Array> {
  await installWebCodecs();
  return media.encodeVideo(clip, options);
}

/** Encodes an .mp4 and writes it whole or not at all. */
export async function writeVideo(
  path: string,
  clip: media.Frames,
  options?: media.EncodeOptions,
): Promise<void> {
  await writeFileAtomic(path, await encodeVideo(clip, options));
}

/** `codecs` in Node. */
export async function codecs(): Promise<media.CodecReport[]> {
  await installWebCodecs();
  return media.codecs();
}

/** Writes exactly these pixels as a PNG, whole or not at all. */
export async function writePng(path: string, image: media.RgbImage): Promise<void> {
  await writeFileAtomic(path, await media.encodePng(image));
}

/** Reads any PNG as 8-bit RGB; transparency is dropped, not blended. Throws InvalidFileError. */
export async function readPng(path: string): Promise<media.RgbImage> {
  await checkReadable(path, 'PNG');
  let png: PNG;
  try {
    png = PNG.sync.read(await readFile(path));
  } catch (error) {
    throw new InvalidFileError(
      path,
      `is not a PNG, or is damaged (${(error as Error).message}); expected a whole .png file`,
    );
  }
  const { width, height } = png;
  const data = new Uint8Array(height * width * 3);
  for (let i = 0, o = 0; o < data.length; i += 4) {
    data[o++] = png.data[i];
    data[o++] = png.data[i + 1];
    data[o++] = png.data[i + 2];
  }
  return { data, height, width };
}
