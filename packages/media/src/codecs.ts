/**
 * Which video codecs work on this machine, found by using them. Claims of support are not trusted: one key frame
 * of each codec is decoded and its colours are looked at, and a clip is encoded the way results are.
 */
import { VideoSample } from 'mediabunny';
import { encodeVideo } from './encode.ts';
import { holdEventLoop } from './event-loop.ts';
import type { Frames } from './frames.ts';
import { SampleReader } from './pixels.ts';

/** Whether a codec works here. */
export interface CodecReport {
  codec: 'H.264' | 'VP9' | 'AV1';
  task: 'decode' | 'encode';
  works: boolean;
  /** Why not; empty where it works. */
  reason: string;
}

const size = 64;
const left = [128, 204, 128];
const right = [204, 102, 102];
const tolerance = 24;
const patienceMs = 10_000;

/** One key frame each of the picture above: 64x64, left half green, right half coral, BT.601 limited range. */
const keyFrames: { codec: CodecReport['codec']; config: string; base64: string }[] = [
  {
    codec: 'H.264',
    config: 'avc1.64000a',
    base64:
      'AAAAAWdkAAmstCE0IAAAAwAgAAADAhHiRNQAAAABaO88sAAAAWWIhAa/7P/CVf8CjvmQh9UT7sCiu6d78saRlLlBce/8FM+pZg2vbv6U' +
      'Qghy+B36abQ7Dm8B7ATB',
  },
  {
    codec: 'VP9',
    config: 'vp09.00.10.08',
    base64:
      'gkmDQgAD8AP2BjgkHBhCAAAgQABsW///D4RzOoEmc7bee3JMvKwp7eJZQyuk9LKxlZXJRAwP/9Jg+mWaWpf0sRzHiuWKFeToiKi7IS0s' +
      'C2BdKEcmDf///83cf////3IwWOpDTnIy809ltn8iN4UtABf/2KP///93YDhcAAJ/cA////mwAAA=',
  },
  {
    codec: 'AV1',
    config: 'av01.0.00M.08',
    base64: 'EgAKCgAAAAKv/5//MAgyIxAAgIAAAgAAALRK8vY102LpslxLtQR2E6mi8fLbbjWFwrjA',
  },
];

/** Tries to decode H.264, VP9 and AV1 and to encode H.264. Never throws; takes well under a second. */
export async function codecs(): Promise<CodecReport[]> {
  const reports: CodecReport[] = [];
  for (const { codec, config, base64 } of keyFrames) {
    reports.push(await attempt(codec, 'decode', () => tryDecode(config, base64)));
  }
  reports.push(await attempt('H.264', 'encode', () => encodeVideo(testPattern())));
  return reports;
}

async function attempt(
  codec: CodecReport['codec'],
  task: CodecReport['task'],
  run: () => Promise<unknown>,
): Promise<CodecReport> {
  const release = holdEventLoop();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${patienceMs / 1000} s`)), patienceMs);
  });
  try {
    await Promise.race([run(), patience]);
    return { codec, task, works: true, reason: '' };
  } catch (error) {
    return { codec, task, works: false, reason: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
    release();
  }
}

async function tryDecode(config: string, base64: string): Promise<void> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const rgb = new Uint8Array(size * size * 3);
  let reading: Promise<void> | undefined;
  await new Promise<void>((resolve, reject) => {
    const decoder = new VideoDecoder({
      output: (frame) => {
        const sample = new VideoSample(frame);
        reading = new SampleReader({}).rgb(sample, rgb).finally(() => sample.close());
      },
      error: reject,
    });
    decoder.configure({ codec: config, codedWidth: size, codedHeight: size });
    decoder.decode(new EncodedVideoChunk({ type: 'key', timestamp: 0, data: bytes }));
    decoder
      .flush()
      .then(() => decoder.close())
      .then(resolve, reject);
  });
  if (!reading) throw new Error('no frame came out');
  await reading;
  for (const [column, colour] of [
    [size / 4, left],
    [(size * 3) / 4, right],
  ] as const) {
    const at = ((size / 2) * size + column) * 3;
    const seen = [...rgb.subarray(at, at + 3)];
    if (seen.some((value, channel) => Math.abs(value - colour[channel]) > tolerance)) {
      throw new Error(`wrong colours: decoded ${seen.join(' ')}, expected ${colour.join(' ')}`);
    }
  }
}

function testPattern(): Frames {
  const frames = 2;
  const data = new Uint8Array(frames * size * size * 3);
  for (let pixel = 0; pixel < frames * size * size; pixel++) {
    data.set(pixel % size < size / 2 ? left : right, pixel * 3);
  }
  return { data, frames, height: size, width: size, fps: 8 };
}
