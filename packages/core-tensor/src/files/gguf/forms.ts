/**
 * The blocks of ggml's quantized types, and what they become without loss: whole numbers of 4 or 8 bits with a scale,
 * and perhaps an offset, for each group. Layouts: ggml-quants.h. A block of 32 or 256 elements is a part of a row.
 *
 *     Q4_0 Q5_0 Q8_0     d · q
 *     Q4_1 Q5_1          d · q + m
 *     Q4_K Q5_K          d · scale · q - dmin · min     8 groups of 32, their scales and mins 6 bits each
 *     Q6_K               d · scale · q                  16 groups of 16
 */
import type { BlockForm } from '../safetensors/blocks.ts';
import { halfValues } from '../safetensors/convert.ts';

/** A quantized type: its elements, and its groups' scales and offsets. */
interface GgmlType {
  readonly elements: number;
  readonly bytes: number;
  readonly groups: number;
  readonly dtype: 'I8' | 'I4';
  readonly scaleDtype: 'F16' | 'F32';
  readonly hasOffsets: boolean;
  readonly weight: BlockForm;
  readonly scales: BlockForm;
  readonly offsets?: BlockForm;
  /** What the blocks stand for. */
  readonly floats: BlockForm;
}

/** Of all blocks, in words of 16 bits: every block is some of them, and two bytes go at a time. */
type Unpack = (blocks: Uint16Array, out: Uint16Array) => void;
/** Scale, or offset, of group `g` of the block whose bytes begin at `at`. */
type PerGroup = (block: Uint8Array, at: number, g: number) => number;

const half = (bytes: Uint8Array, at: number) => halfValues()[bytes[at] | (bytes[at + 1] << 8)];

/** A view of the bytes, or of a copy where they begin at an odd place. */
function wordsOf(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}

const weightForm = (stored: number, made: number, unpack: Unpack): BlockForm => ({
  ...{ stored, made },
  unpack: (blocks, out) =>
    unpack(wordsOf(blocks), new Uint16Array(out.buffer, out.byteOffset, out.byteLength / 2)),
});

function groupForm(stored: number, groups: number, value: PerGroup): BlockForm {
  return {
    ...{ stored, made: 4 * groups },
    unpack(blocks, out) {
      const values = new Float32Array(out.buffer, out.byteOffset, out.byteLength / 4);
      for (let at = 0, to = 0; at < blocks.length; at += stored) {
        for (let g = 0; g < groups; g++) values[to++] = value(blocks, at, g);
      }
    },
  };
}

/** The f16 that a block begins with, as it is. */
const firstHalf = (stored: number): BlockForm =>
  weightForm(stored, 2, (blocks, out) => {
    for (let at = 0, to = 0; to < out.length; at += stored / 2) out[to++] = blocks[at];
  });

const LOWER = 0x0f0f;

/** The lower halves of four bytes, side by side, as signed numbers. */
function pairs(bytes: number): number {
  const lower = bytes & 0x0f0f0f0f;
  const paired = lower | (lower >>> 4);
  return ((paired & 0xff) | ((paired >>> 8) & 0xff00)) ^ 0x8888;
}

/** Halves of `count` bytes: all lower ones, then all upper ones, as signed pairs of neighbours. */
function neighbours(blocks: Uint16Array, at: number, out: Uint16Array, to: number, count: number): void {
  const words = count / 4;
  for (let i = 0; i < words; i++) {
    const four = blocks[at + 2 * i] | (blocks[at + 2 * i + 1] << 16);
    out[to + i] = pairs(four);
    out[to + words + i] = pairs(four >>> 4);
  }
}

const fourBits =
  (before: number): Unpack =>
  (blocks, out) => {
    const from = before / 2;
    for (let at = from, to = 0; to < out.length; at += from + 8, to += 8) neighbours(blocks, at, out, to, 16);
  };

const eightBits: Unpack = (blocks, out) => {
  for (let at = 1, to = 0; to < out.length; at++) for (let i = 0; i < 16; i++) out[to++] = blocks[at++];
};

/**
 * Halves of 16 bytes with a fifth bit of each in two words before them.
 * @param zero what is subtracted: without it bit 4 is the fifth; with 16, bits 4 to 7 are its opposite.
 */
function fiveBits(before: number, zero: 0 | 16): Unpack {
  const [flip, fill] = zero === 0 ? [0, 0x10] : [3, 0xf0];
  const both = (two: number) => (two & 1) * fill + (two >> 1) * (fill << 8);
  return (blocks, out) => {
    for (let at = before / 2, to = 0; to < out.length; at += 10 + before / 2, to += 16) {
      const [low, high] = [blocks[at], blocks[at + 1]];
      for (let i = 0; i < 8; i++) {
        const word = blocks[at + 2 + i];
        out[to + i] = (word & LOWER) | both(((low >> (2 * i)) & 3) ^ flip);
        out[to + 8 + i] = ((word >> 4) & LOWER) | both(((high >> (2 * i)) & 3) ^ flip);
      }
    }
  };
}

/** Scale of a group, of 6 bits, of those that are packed into 12 bytes. */
const scaleBits = (q: Uint8Array, at: number, g: number): number =>
  g < 4 ? q[at + g] & 63 : (q[at + g + 4] & 15) | ((q[at + g - 4] >> 6) << 4);

/** Min of a group, in the same bytes. */
const minBits = (q: Uint8Array, at: number, g: number): number =>
  g < 4 ? q[at + g + 4] & 63 : (q[at + g + 4] >> 4) | ((q[at + g] >> 6) << 4);

const kScale: PerGroup = (block, at, g) => half(block, at) * scaleBits(block, at + 4, g);
const kMin: PerGroup = (block, at, g) => half(block, at + 2) * minBits(block, at + 4, g);

/** Stretches of 64: 32 bytes whose lower halves come before their upper ones. */
const q4k: Unpack = (blocks, out) => {
  for (let at = 8, to = 0; to < out.length; at += 8)
    for (let i = 0; i < 4; i++, at += 16, to += 16) neighbours(blocks, at, out, to, 32);
};

const q5k: Unpack = (blocks, out) => {
  for (let at = 0, to = 0; to < out.length; at += 88, to += 128) {
    for (let i = 0; i < 64; i++) {
      const word = blocks[at + 24 + i];
      const high = blocks[at + 8 + (i & 15)] >> (2 * (i >> 4));
      const place = to + (i >> 4) * 32 + (i & 15);
      out[place] = (word & LOWER) | ((high & 0x0101) << 4);
      out[place + 16] = ((word >> 4) & LOWER) | ((high & 0x0202) << 3);
    }
  }
};

/** Halves with two more bits of each, less 32: bits 5 to 7 are the opposite of the sixth. */
const sixBits = (halves: number, high: number): number =>
  (halves & LOWER) | ((high & 0x0101) << 4) | (((~high >> 1) & 0x0101) * 0xe0);

const q6k: Unpack = (blocks, out) => {
  for (let at = 0, to = 0; to < out.length; at += 105, to += 128) {
    for (let part = 0; part < 2; part++) {
      for (let i = 0; i < 16; i++) {
        const low = at + 32 * part + i;
        const [a, b] = [blocks[low], blocks[low + 16]];
        const high = blocks[at + 64 + 16 * part + i];
        const place = to + 64 * part + i;
        out[place] = sixBits(a, high);
        out[place + 16] = sixBits(b, high >> 2);
        out[place + 32] = sixBits(a >> 4, high >> 4);
        out[place + 48] = sixBits(b >> 4, high >> 6);
      }
    }
  }
};

function type(
  elements: number,
  bytes: number,
  dtype: 'I8' | 'I4',
  unpack: Unpack,
  values: { groups?: number; scale?: PerGroup; offset?: PerGroup } = {},
): GgmlType {
  const { groups = 1, scale, offset } = values;
  const weight = weightForm(bytes, dtype === 'I4' ? elements / 2 : elements, unpack);
  return {
    ...{ elements, bytes, groups, dtype, weight, hasOffsets: offset !== undefined },
    scaleDtype: scale ? 'F32' : 'F16',
    scales: scale ? groupForm(bytes, groups, scale) : firstHalf(bytes),
    ...(offset && { offsets: groupForm(bytes, groups, offset) }),
    floats: floatForm(weight, elements, groups, scale ?? half, offset ?? (() => 0)),
  };
}

/** Scale times number, plus offset. */
function floatForm(
  { stored, made, unpack }: BlockForm,
  elements: number,
  groups: number,
  scale: PerGroup,
  offset: PerGroup,
): BlockForm {
  const perGroup = elements / groups;
  const isHalved = made < elements;
  return {
    ...{ stored, made: 4 * elements },
    unpack(blocks, out) {
      const numbers = new Uint8Array((blocks.length / stored) * made);
      unpack(blocks, numbers);
      const values = new Float32Array(out.buffer, out.byteOffset, out.byteLength / 4);
      for (let i = 0; i < values.length; i += perGroup) {
        const at = Math.floor(i / elements) * stored;
        const group = (i % elements) / perGroup;
        const [times, plus] = [scale(blocks, at, group), offset(blocks, at, group)];
        for (let e = i; e < i + perGroup; e++) {
          const number = isHalved ? (numbers[e >> 1] << (28 - 4 * (e & 1))) >> 28 : (numbers[e] << 24) >> 24;
          values[e] = times * number + plus;
        }
      }
    },
  };
}

const scale1: PerGroup = (block, at) => half(block, at);

/** By ggml's number of the type. Nibbles are stored less 8, which the offsets of types that have any give back. */
export const GGML_QUANTIZED: ReadonlyMap<number, GgmlType> = new Map([
  [2, type(32, 18, 'I4', fourBits(2))],
  [
    3,
    type(32, 20, 'I4', fourBits(4), { scale: scale1, offset: (b, at) => half(b, at + 2) + 8 * half(b, at) }),
  ],
  [6, type(32, 22, 'I8', fiveBits(2, 16))],
  [7, type(32, 24, 'I8', fiveBits(4, 0), { scale: scale1, offset: (b, at) => half(b, at + 2) })],
  [8, type(32, 34, 'I8', eightBits)],
  [
    12,
    type(256, 144, 'I4', q4k, {
      groups: 8,
      scale: kScale,
      offset: (b, at, g) => 8 * kScale(b, at, g) - kMin(b, at, g),
    }),
  ],
  [13, type(256, 176, 'I8', q5k, { groups: 8, scale: kScale, offset: (b, at, g) => -kMin(b, at, g) })],
  [
    14,
    type(256, 210, 'I8', q6k, {
      groups: 16,
      scale: (b, at, g) => half(b, at + 208) * ((b[at + 192 + g] << 24) >> 24),
    }),
  ],
]);

/** Types that are elements one after the other. */
export const GGML_PLAIN: ReadonlyMap<number, 'F32' | 'F16' | 'BF16'> = new Map([
  [0, 'F32'],
  [1, 'F16'],
  [30, 'BF16'],
]);

/** Names of what can be read, for messages. */
export const GGML_READ = 'F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K';
