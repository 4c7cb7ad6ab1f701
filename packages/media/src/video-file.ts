/**
 * A video file, opened: checked, its frames counted and timed, and decoded when they are asked for. The packet table is
 * read first; it gives the times, and a way to see a truncated file before decoding it.
 */
import { DwmError, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import {
  EncodedPacketSink,
  Input,
  type InputVideoTrack,
  Logging,
  LogLevel,
  MATROSKA,
  MP4,
  QTFF,
  type Source,
  type VideoSample,
  VideoSampleSink,
  WEBM,
} from 'mediabunny';
import { type CodecFacts, codecFacts, codecName } from './codec-facts.ts';
import {
  asciiOnly,
  type ByteSource,
  ContainerError,
  checkFrameCount,
  UnreadError,
} from './container/bytes.ts';
import { applyEdits } from './container/edits.ts';
import { checkMatroska } from './container/matroska.ts';
import { type Mp4Track, readMp4 } from './container/mp4.ts';
import { sniff } from './container/sniff.ts';
import { rateOf, type VideoInfo } from './frame-choice.ts';
import { checkPixels } from './image-size.ts';
import { registerOpaqueDecoder } from './opaque-decoder.ts';
import { SampleReader, uprightSize } from './pixels.ts';
import { resizeSmooth } from './resize.ts';

/** Where bytes come from, and the name that errors use for it. A path in Node becomes one of these. */
export interface VideoSource extends ByteSource {
  name: string;
  /** The same bytes for the demuxer, of which it sees only the first `size`. */
  demuxer(size: number): Source;
  /** For a source of which there will be no demuxer, which else closes it. */
  close?(): void;
}

/** One frame of a stream, valid until the next one is asked for. */
export interface DecodedFrame {
  index: number;
  /** Presentation time, seconds. */
  timestamp: number;
  height: number;
  width: number;
  /** Converts to RGB [height, width, 3], into `target` if given. */
  rgb(target?: Uint8Array): Promise<Uint8Array>;
}

/** A video whose frames can be streamed by number. */
export interface OpenVideo {
  readonly name: string;
  readonly info: VideoInfo;
  /** @param indices ascending, repeats allowed. */
  frames(indices: readonly number[]): AsyncGenerator<DecodedFrame, void, undefined>;
  close(): void;
}

/** A frame that is shown: when, and at which time of the demuxer's. */
interface Shown {
  readonly time: number;
  readonly demuxed: number;
  /** A time inside the frame: at its first instant, rounding could choose a neighbour. */
  readonly inside: number;
}

const convert = (name: string) =>
  `ffmpeg -i ${/^[\w./+-]+$/.test(name) ? name : 'in.mp4'} -c:v libx264 -pix_fmt yuv420p out.mp4`;
const again = (name: string) => `copy the file again, or re-encode it: ${convert(name)}`;

/** @throws InvalidFileError for what is no video, is damaged, claims what it cannot hold, or cannot be decoded here. */
export async function openVideoFile(source: VideoSource): Promise<OpenVideo> {
  const { name } = source;
  if (typeof VideoDecoder === 'undefined') {
    throw new DwmError(
      'no-webcodecs',
      'VideoDecoder is missing: use a browser with WebCodecs over https, or @dwm/media/node',
    );
  }
  if (source.size === 0)
    throw new InvalidFileError(name, 'is empty (0 bytes), expected a video; copy the file again');
  registerOpaqueDecoder();
  // What it would print is in our errors, or nobody's concern.
  Logging.level = LogLevel.Silent;
  let input: Input | undefined;
  try {
    const { size, mp4 } = await checkContainer(source);
    input = new Input({ source: source.demuxer(size), formats: [MP4, QTFF, WEBM, MATROSKA] });
    return await VideoFile.open(name, input, mp4);
  } catch (error) {
    if (input) input.dispose();
    else source.close?.();
    throw asFileError(name, error);
  }
}

/** @returns the bytes that may be demuxed, and what the index of an MP4 says. */
async function checkContainer(source: VideoSource): Promise<{ size: number; mp4: Mp4Track[] }> {
  const { name, size } = source;
  const kind = sniff(await source.read(0, Math.min(size, 512)));
  if (!kind || 'other' in kind) {
    const other = kind ? `, but ${kind.other}` : '';
    throw new InvalidFileError(
      name,
      `is not a video this program reads${other}; expected MP4, MOV, WebM or MKV; convert it: ${convert(name)}`,
    );
  }
  return kind.container === 'mp4'
    ? { size, mp4: await readMp4(source) }
    : { size: await checkMatroska(source), mp4: [] };
}

class VideoFile implements OpenVideo {
  readonly name: string;
  readonly info: VideoInfo;
  readonly #input: Input;
  readonly #track: InputVideoTrack;
  readonly #shown: readonly Shown[];
  readonly #facts: CodecFacts;
  /** Whether every frame of the media is shown, once and in order. */
  readonly #whole: boolean;

  private constructor(parts: {
    name: string;
    info: VideoInfo;
    input: Input;
    track: InputVideoTrack;
    shown: readonly Shown[];
    facts: CodecFacts;
    whole: boolean;
  }) {
    this.name = parts.name;
    this.info = parts.info;
    this.#input = parts.input;
    this.#track = parts.track;
    this.#shown = parts.shown;
    this.#facts = parts.facts;
    this.#whole = parts.whole;
  }

  static async open(name: string, input: Input, tracks: readonly Mp4Track[]): Promise<VideoFile> {
    const track = await input.getPrimaryVideoTrack();
    if (!track) {
      const sound = (await input.getTracks()).length > 0 && tracks.length === 0;
      throw new InvalidFileError(
        name,
        sound ? 'holds only sound, expected a video; check the path' : `holds no video track; ${again(name)}`,
      );
    }
    const mp4 = tracks.find(({ id }) => id === track.id);
    if (mp4?.entry === 'encv')
      throw new InvalidFileError(name, 'is encrypted; expected a video that is free to read');
    if (mp4?.slant !== undefined)
      throw new UnreadError(`its picture is turned by ${Number(mp4.slant.toFixed(1))} degrees`);
    const config = await track.getDecoderConfig();
    if (!config || !(await track.canDecode())) {
      const codec = codecName(String((await track.getInternalCodecId()) ?? 'unknown'));
      throw new InvalidFileError(
        name,
        `its codec (${codec}) cannot be decoded here; convert it: ${convert(name)}`,
        { codec },
      );
    }
    const facts = codecFacts(config.codec, config.description && bytesOf(config.description));
    const { shown, whole, lastDuration } = await readTimes(track, mp4);
    if (shown.length === 0) {
      const why = mp4?.edits?.length ? ' that its edit list shows' : '';
      throw new InvalidFileError(name, `holds no video frames${why}; ${again(name)}`);
    }
    const [width, height] = [await track.getCodedWidth(), await track.getCodedHeight()];
    const container = mp4
      ? mp4.pixelAspect
      : ((await track.getSquarePixelWidth()) * height) / ((await track.getSquarePixelHeight()) * width);
    const pixelAspect = (mp4 || container !== 1 ? container : undefined) ?? facts.pixelAspect ?? 1;
    const turned = (await track.getRotation()) % 180 !== 0;
    const upright = square(
      turned ? { height: width, width: height } : { height, width },
      turned ? 1 / pixelAspect : pixelAspect,
    );
    checkPixels(name, upright);
    const timestamps = shown.map(({ time }) => time);
    const fps = rateOf(timestamps, lastDuration > 0 ? 1 / lastDuration : 1);
    const { transfer } = await track.getColorSpace();
    const hdr = HDR[String(transfer)];
    const info = {
      ...{ frames: shown.length, ...upright, fps, timestamps, pixelAspect, codec: config.codec },
      lastDuration: lastDuration > 0 ? lastDuration : 1 / fps,
      ...(hdr && { hdr }),
    };
    return new VideoFile({ name, info, input, track, shown, facts, whole });
  }

  close(): void {
    this.#input.dispose();
  }

  async *frames(indices: readonly number[]): AsyncGenerator<DecodedFrame, void, undefined> {
    let done = 0;
    let size: { height: number; width: number } | undefined;
    try {
      const reader = new SampleReader(await this.#track.getColorSpace());
      for await (const sample of this.#samples(indices)) {
        if (sample === null) break;
        try {
          const coded = uprightSize(sample);
          size ??= coded;
          if (coded.height !== size.height || coded.width !== size.width) {
            throw new InvalidFileError(
              this.name,
              `frame size changes from ${size.height}x${size.width} to ${coded.height}x${coded.width}; ${again(this.name)}`,
            );
          }
          if (done === indices.length) break;
          this.#checkChroma(sample);
          const aspect = sample.rotation % 180 === 0 ? this.info.pixelAspect : 1 / this.info.pixelAspect;
          const { height, width } = square(coded, aspect);
          checkPixels(this.name, { height, width });
          const index = indices[done++];
          yield {
            index,
            timestamp: this.info.timestamps[index],
            height,
            width,
            rgb: async (target = new Uint8Array(height * width * 3)) => {
              const same = height === coded.height && width === coded.width;
              const data = same ? target : new Uint8Array(coded.height * coded.width * 3);
              await reader.rgb(sample, data).catch((error) => {
                throw this.#pixelError(error);
              });
              if (!same) target.set(resizeSmooth({ data, ...coded }, height, width).data);
              return target;
            },
          };
        } finally {
          sample.close();
        }
      }
    } catch (error) {
      throw asFileError(this.name, error);
    }
    if (done < indices.length) {
      throw new InvalidFileError(
        this.name,
        `decoded ${done} of ${indices.length} frames: it is truncated or damaged; ${again(this.name)}`,
        { decoded: done, expected: indices.length },
      );
    }
  }

  /** Runs of frames that ascend in the media too; an edit list may go back in it. */
  async *#samples(indices: readonly number[]): AsyncGenerator<VideoSample | null> {
    const sink = new VideoSampleSink(this.#track);
    const shown = this.#shown;
    if (this.#whole && indices.length === shown.length && indices.every((index, i) => index === i)) {
      // Only this form shows every frame that decodes; only the timed one skips groups of pictures.
      yield* sink.samples(shown[0].demuxed);
      return;
    }
    for (let from = 0; from < indices.length; ) {
      let to = from + 1;
      while (to < indices.length && shown[indices[to]].demuxed >= shown[indices[to - 1]].demuxed) to++;
      yield* sink.samplesAtTimestamps(indices.slice(from, to).map((index) => shown[index].inside));
      from = to;
    }
  }

  /** Some samplings are handed over as others, with the wrong samples. */
  #checkChroma({ format }: VideoSample): void {
    const { chroma } = this.#facts;
    const [, got] = /^I(4\d\d)/.exec(format ?? '') ?? (format?.startsWith('NV') ? ['', '420'] : []);
    if (!chroma || !got || chroma === '400' || chroma === got) return;
    throw this.#unread(`chroma sampling of ${[...chroma].join(':')} in this kind of file`);
  }

  #pixelError(error: unknown): unknown {
    return this.#facts.chroma === '400'
      ? this.#unread('grey pictures without chroma')
      : asFileError(this.name, error);
  }

  #unread(what: string): InvalidFileError {
    return new InvalidFileError(
      this.name,
      `has ${what}, which cannot be read here; convert it: ${convert(this.name)}`,
    );
  }
}

/** By WebCodecs' names of transfer curves. */
const HDR: Readonly<Record<string, VideoInfo['hdr']>> = { pq: 'PQ', hlg: 'HLG' };

const bytesOf = (data: AllowSharedBufferSource) =>
  ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);

/** Upright size with square pixels: the shorter way grows, so nothing is lost. */
function square({ height, width }: { height: number; width: number }, aspect: number) {
  return {
    height: aspect < 1 ? Math.max(1, Math.round(height / aspect)) : height,
    width: aspect > 1 ? Math.max(1, Math.round(width * aspect)) : width,
  };
}

/** Times of the frames, as the edit list has them where there is one. */
async function readTimes(
  track: InputVideoTrack,
  mp4: Mp4Track | undefined,
): Promise<{ shown: Shown[]; whole: boolean; lastDuration: number }> {
  const demuxed: number[] = [];
  let lastDuration = 0;
  for await (const packet of new EncodedPacketSink(track).packets(undefined, undefined, {
    metadataOnly: true,
  })) {
    lastDuration = packet.duration;
    demuxed.push(packet.timestamp);
    checkFrameCount(demuxed.length);
  }
  demuxed.sort((a, b) => a - b);
  const frameAt = (time: number, frame: number): Shown => {
    const [from, to] = [demuxed[frame], demuxed[frame + 1] ?? demuxed[frame]];
    return { time, demuxed: from, inside: to > from ? (from + to) / 2 : from + 1e-6 };
  };
  if (!mp4?.edits?.length) return { shown: demuxed.map(frameAt), whole: true, lastDuration };
  const { timescale, edits } = mp4;
  // The demuxer moves its times by the first part's beginning, less the pauses before it.
  const first = edits.findIndex(({ mediaTime }) => mediaTime >= 0);
  const pause = edits.slice(0, Math.max(0, first)).reduce((sum, { duration }) => sum + duration, 0);
  const offset = first < 0 ? 0 : edits[first].mediaTime - Math.round(pause * timescale);
  const media = demuxed.map((time) => Math.round(time * timescale) + offset);
  const shown = applyEdits(media, timescale, edits).map(({ time, frame }) => frameAt(time, frame));
  return { shown, whole: shown.length === demuxed.length && edits.length - first === 1, lastDuration };
}

/** Errors of the demuxer and the decoder speak of their insides; ours name the file and the way out. */
function asFileError(name: string, error: unknown): unknown {
  if (error instanceof InvalidFileError || error instanceof InvalidArgumentError) return error;
  if (error instanceof UnreadError)
    return new InvalidFileError(name, `${error.message}, which is not read; convert it: ${convert(name)}`);
  if (error instanceof ContainerError)
    return new InvalidFileError(name, `is truncated or damaged: ${error.message}; ${again(name)}`);
  const reason = asciiOnly((error instanceof Error ? error.message : String(error)).split('\n')[0]);
  if (error instanceof DwmError)
    return new InvalidFileError(name, `${reason}; convert it: ${convert(name)}`, { cause: error.code });
  // A demuxer that finds what it holds impossible, or reads past an end, says so in words for its own developers.
  const inside =
    error instanceof RangeError || error instanceof TypeError || /^Assertion|internal error/i.test(reason);
  const how = inside ? 'its parts contradict each other' : reason;
  return new InvalidFileError(name, `cannot be decoded (${how}): it is truncated or damaged; ${again(name)}`);
}
