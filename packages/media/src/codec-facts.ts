/**
 * What a track's configuration says of its pictures: names of codecs for people, how chroma is sampled, and the shape
 * of pixels where the container does not say it (ITU-T H.264, 7.3.2.1.1 and E.1.1).
 */
import { asciiOnly } from './container/bytes.ts';

/** How many chroma samples there are: 4:0:0, 4:2:0, 4:2:2, 4:4:0, 4:4:4. */
type ChromaSampling = '400' | '420' | '422' | '440' | '444';

export interface CodecFacts {
  readonly chroma?: ChromaSampling;
  /** Width of a pixel by its height. */
  readonly pixelAspect?: number;
}

const NAMES: [name: string, pattern: RegExp][] = [
  ['H.264', /^(avc|V_MPEG4\/ISO\/AVC)/],
  ['HEVC (H.265)', /^(hvc|hev|dvh|V_MPEGH)/],
  ['VVC (H.266)', /^(vvc|vvi)/],
  ['ProRes', /^(ap[0-9a-z]{2}|V_PRORES)/],
  ['DNxHD', /^(AVdn|AVdh)/],
  ['MPEG-4 part 2', /^(mp4v|V_MPEG4)/],
  ['Motion JPEG', /^(jpeg|mjp|V_MJPEG)/],
  ['MPEG-2', /^(m2v|mx|V_MPEG2|hdv|xdv)/],
  ['FFV1', /^(FFV1|V_FFV1)/],
  ['Theora', /^V_THEORA/],
  ['uncompressed video', /^(raw |2vuy|v210|yuv|V_UNCOMPRESSED)/],
  ['VP8', /^(vp08|V_VP8)/],
  ['VP9', /^(vp09|V_VP9)/],
  ['AV1', /^(av01|V_AV1)/],
];

/** A codec's name by what its container calls it, which is data and may hold anything. */
export function codecName(id: string): string {
  const shown = asciiOnly(id).slice(0, 40);
  const [name] = NAMES.find(([, pattern]) => pattern.test(id)) ?? [];
  return name ? `${name}, "${shown}"` : `"${shown}"`;
}

/**
 * @param codec the codec's string as in WebCodecs.
 * @param description its configuration record.
 */
export function codecFacts(codec: string, description: Uint8Array | undefined): CodecFacts {
  try {
    if (/^avc[13]/.test(codec) && description) return avcFacts(description);
    if (/^(hvc1|hev1)/.test(codec) && description)
      return { chroma: (['400', '420', '422', '444'] as const)[description[16] & 3] };
    if (codec.startsWith('vp09')) return { chroma: vp9Chroma(codec) };
    if (codec.startsWith('av01')) return { chroma: av1Chroma(codec) };
    if (codec === 'vp8') return { chroma: '420' };
  } catch (error) {
    // A record that is cut off says nothing; whether it decodes is the decoder's to say.
    if (!(error instanceof RangeError)) throw error;
  }
  return {};
}

/** `vp09.<profile>.<level>.<depth>.<chroma>…`; only profiles 0 and 2 are 4:2:0. */
function vp9Chroma(codec: string): ChromaSampling {
  const [, profile, , , chroma] = codec.split('.').map(Number);
  if (profile % 2 === 0) return '420';
  return chroma === 2 ? '422' : chroma === 3 ? '444' : '440';
}

/** `av01.<profile>.<level>.<depth>.<monochrome>…`. */
function av1Chroma(codec: string): ChromaSampling {
  const [, profile, , , monochrome, sampling] = codec.split('.');
  if (monochrome === '1') return '400';
  if (profile === '1') return '444';
  return profile === '2' && sampling?.startsWith('10') ? '422' : sampling === '000' ? '444' : '420';
}

/** The first sequence parameter set of an AVCDecoderConfigurationRecord. */
function avcFacts(record: Uint8Array): CodecFacts {
  const length = record[6] * 256 + record[7];
  if ((record[5] & 31) === 0 || !(length > 4)) return {};
  const bits = new Bits(record.subarray(8, 8 + length));
  bits.skip(8);
  const profile = bits.read(8);
  bits.skip(16);
  bits.golomb();
  let chroma: ChromaSampling = '420';
  if ([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].includes(profile)) {
    const sampling = bits.golomb();
    chroma = (['400', '420', '422', '444'] as const)[sampling] ?? '420';
    if (sampling === 3) bits.skip(1);
    bits.golomb();
    bits.golomb();
    bits.skip(1);
    if (bits.read(1)) skipScaling(bits, sampling === 3 ? 12 : 8);
  }
  bits.golomb();
  const order = bits.golomb();
  if (order === 0) bits.golomb();
  else if (order === 1) {
    bits.skip(1);
    bits.golomb();
    bits.golomb();
    for (let left = bits.golomb(); left > 0; left--) bits.golomb();
  }
  bits.golomb();
  bits.skip(1);
  bits.golomb();
  bits.golomb();
  if (!bits.read(1)) bits.skip(1);
  bits.skip(1);
  if (bits.read(1)) for (let i = 0; i < 4; i++) bits.golomb();
  return { chroma, pixelAspect: bits.read(1) ? vuiAspect(bits) : undefined };
}

/** Table E-1: sample aspect ratios by number, from 1 on; 255 is followed by the ratio itself. */
const ASPECTS = [
  [1, 1],
  [12, 11],
  [10, 11],
  [16, 11],
  [40, 33],
  [24, 11],
  [20, 11],
  [32, 11],
  [80, 33],
  [18, 11],
  [15, 11],
  [64, 33],
  [160, 99],
  [4, 3],
  [3, 2],
  [2, 1],
];

function vuiAspect(bits: Bits): number | undefined {
  if (!bits.read(1)) return undefined;
  const kind = bits.read(8);
  const [across, down] = kind === 255 ? [bits.read(16), bits.read(16)] : (ASPECTS[kind - 1] ?? [0, 0]);
  return across > 0 && down > 0 ? across / down : undefined;
}

function skipScaling(bits: Bits, lists: number): void {
  for (let i = 0; i < lists; i++) {
    if (!bits.read(1)) continue;
    let [last, next] = [8, 8];
    for (let j = 0; j < (i < 6 ? 16 : 64) && next !== 0; j++) {
      const code = bits.golomb();
      // Signed: 1, 2, 3, 4 stand for 1, -1, 2, -2.
      next = (last + (code % 2 ? (code + 1) / 2 : -code / 2) + 256) % 256;
      if (next !== 0) last = next;
    }
  }
}

/** Bits of a NAL unit, without the bytes that keep it from looking like a start code. */
class Bits {
  readonly #bytes: readonly number[];
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = [...bytes].filter(
      (byte, i) => !(byte === 3 && i > 1 && bytes[i - 1] === 0 && bytes[i - 2] === 0),
    );
  }

  read(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++, this.#at++) {
      if (this.#at >= this.#bytes.length * 8) throw new RangeError('the parameter set ends early');
      value = value * 2 + ((this.#bytes[this.#at >> 3] >> (7 - (this.#at & 7))) & 1);
    }
    return value;
  }

  skip(count: number): void {
    this.#at += count;
  }

  /** An unsigned Exp-Golomb code. */
  golomb(): number {
    let zeros = 0;
    while (!this.read(1)) zeros++;
    return 2 ** Math.min(zeros, 32) - 1 + this.read(Math.min(zeros, 32));
  }
}
