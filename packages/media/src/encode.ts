/**
 * RGB frames to an H.264 file that plays everywhere: 4:2:0, BT.601 limited range and tagged so, index at the
 * front. We convert to I420 ourselves: encoders given RGBA convert with a bias and write the wrong tags.
 */
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { BufferTarget, Mp4OutputFormat, Output, Quality, VideoSample, VideoSampleSource } from 'mediabunny';
import { i420Bytes, rgbToI420 } from './color.ts';
import { holdEventLoop } from './event-loop.ts';
import { checkFrames, type Frames, frameAt } from './frames.ts';

/** Options of `encodeVideo`. */
export interface EncodeOptions {
  /** Frames per second; the clip's own rate unless given. */
  fps?: number;
  /** Bits per second; by default `defaultBitrate`. */
  bitrate?: number;
  onProgress?: (done: number, total: number) => void;
}

/**
 * Two bits per pixel and frame, which keeps real clips above 40 dB. Slow clips need as many bits per frame as
 * fast ones, so the rate follows fps; the floor is for thumbnails, where headers and key frames dominate.
 */
export function defaultBitrate(height: number, width: number, fps: number): number {
  return Math.max(200_000, Math.round(2 * height * width * fps));
}

/**
 * Encodes an .mp4 and returns its bytes. H.264 4:2:0 has even sizes only: an odd height or width grows by one
 * repeated row or column.
 * @throws InvalidArgumentError for frames, fps or bitrate out of range; DwmError if no H.264 encoder works here.
 */
export async function encodeVideo(
  clip: Frames,
  options: EncodeOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  checkFrames('frames', clip);
  const fps = options.fps ?? clip.fps;
  // FFmpeg's wrapper refuses slower rates.
  if (!(fps >= 1 && Number.isFinite(fps))) {
    throw new InvalidArgumentError('fps', `must be at least 1 frame per second, got ${fps}`);
  }
  const height = clip.height + (clip.height % 2);
  const width = clip.width + (clip.width % 2);
  const bitrate = options.bitrate ?? defaultBitrate(height, width, fps);
  if (!(bitrate > 0 && Number.isFinite(bitrate))) {
    throw new InvalidArgumentError('bitrate', `must be above 0 bits per second, got ${bitrate}`);
  }
  const release = holdEventLoop();
  const output = new Output({
    format: new Mp4OutputFormat({ fastStart: 'in-memory' }),
    target: new BufferTarget(),
  });
  try {
    const source = new VideoSampleSource({
      codec: 'avc',
      quality: new Quality({ bitrate }),
      latencyMode: 'quality',
    });
    // Without the rate the encoder assumes 30 fps and gives an 8 fps clip a quarter of its bits.
    output.addVideoTrack(source, { frameRate: fps });
    await output.start();
    for (let index = 0; index < clip.frames; index++) {
      const planes = new Uint8Array(i420Bytes(height, width));
      rgbToI420(frameAt(clip, index).data, clip.height, clip.width, planes);
      const sample = new VideoSample(planes, {
        format: 'I420',
        codedWidth: width,
        codedHeight: height,
        timestamp: index / fps,
        duration: 1 / fps,
        colorSpace: {
          primaries: 'smpte170m',
          transfer: 'smpte170m',
          matrix: 'smpte170m',
          fullRange: false,
        },
      });
      await source.add(sample);
      sample.close();
      options.onProgress?.(index + 1, clip.frames);
    }
    await output.finalize();
    return undated(new Uint8Array(output.target.buffer!));
  } catch (error) {
    await output.cancel().catch(() => {});
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
    throw new DwmError('video-encoding', `H.264 encoding of ${width}x${height} failed: ${reason}`, {
      width,
      height,
    });
  } finally {
    release();
  }
}

/** Boxes that hold others, and boxes that begin with a creation and a modification time. */
const CONTAINERS = ['moov', 'trak', 'mdia'];
const DATED = ['mvhd', 'tkhd', 'mdhd'];

/** Sets the times of writing to zero, "not known", in place: the same frames are then the same file. */
function undated(mp4: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const view = new DataView(mp4.buffer, mp4.byteOffset, mp4.length);
  const walk = (from: number, to: number) => {
    for (let at = from; at + 8 <= to; ) {
      const size = view.getUint32(at);
      // A long box (1) or one to the end of the file (0) is picture data, behind the index.
      if (size < 8) return;
      const type = String.fromCharCode(...mp4.subarray(at + 4, at + 8));
      if (CONTAINERS.includes(type)) walk(at + 8, at + size);
      // Version 1 has times of 8 bytes, version 0 of 4.
      if (DATED.includes(type)) mp4.fill(0, at + 12, at + 12 + (mp4[at + 8] === 1 ? 16 : 8));
      at += size;
    }
  };
  walk(0, mp4.length);
  return mp4;
}
