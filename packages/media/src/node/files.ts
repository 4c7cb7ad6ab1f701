/**
 * The package's functions with paths in place of Blobs and bytes.
 */
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { FilePathSource } from 'mediabunny';
import * as media from '../index.ts';
import { checkReadable } from './readable.ts';
import { installWebCodecs } from './webcodecs.ts';

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
