/**
 * The package's functions with paths in place of Blobs and bytes: of a video, or of a folder of frames.
 */
import { stat } from 'node:fs/promises';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import * as media from '../index.ts';
import { fileSource } from './file-source.ts';
import { FOLDER_FPS, openFrameFolder } from './frame-folder.ts';
import { installWebCodecs } from './webcodecs.ts';

/** How a path is read. */
interface PathOptions {
  /** Rate of a folder of frames, which does not say; default 8. */
  folderFps?: number;
}

async function videoInput(source: string | Blob, { folderFps = FOLDER_FPS }: PathOptions) {
  if (typeof source === 'string' && (await stat(source).catch(() => undefined))?.isDirectory())
    return openFrameFolder(source, folderFps);
  await installWebCodecs();
  return typeof source === 'string' ? fileSource(source) : source;
}

/** `videoInfo` for a path or a Blob. */
export async function videoInfo(source: string | Blob, options: PathOptions = {}): Promise<media.VideoInfo> {
  return media.videoInfo(await videoInput(source, options));
}

/** `decodeFrames` for a path or a Blob. */
export async function* decodeFrames(
  source: string | Blob,
  options: Parameters<typeof media.decodeFrames>[1] & PathOptions = {},
): AsyncGenerator<media.DecodedFrame, void, undefined> {
  yield* media.decodeFrames(await videoInput(source, options), options);
}

/** `readVideo` for a path or a Blob: [frames, height, width, 3]. */
export async function readVideo(
  source: string | Blob,
  options: Parameters<typeof media.readVideo>[1] & PathOptions = {},
): Promise<media.Frames> {
  return media.readVideo(await videoInput(source, options), options);
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
