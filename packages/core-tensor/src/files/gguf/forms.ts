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

type PerBlock = (block: Uint8Array, at: number, out: Uint8Array, to: number) => void;
/** Scale, or offset, of group `g` of the block at `at`. */
type PerGroup = (block: Uint8Array, at: number, g: number) => number;

const half = (bytes: Uint8Array, at: number) => halfValues()[bytes[at] | (bytes[at + 1] << 8)];

function weightForm(stored: number, made: number, each: PerBlock): BlockForm {
  return {
    ...{ stored, made },
    unpack(blocks, out) {
      for (let at = 0, to = 0; at < blocks.length; at += stored, to += made) each(blocks, at, out, to);
    },
  };
}

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
  weightForm(stored, 2, (blocks, at, out, to) => {
    out[to] = blocks[at];
    out[to + 1] = blocks[at + 1];
  });

/** Nibbles of 32 elements, the second 16 in the upper halves, as signed pairs of neighbours. */
function neighbours(blocks: Uint8Array, at: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < 8; i++) {
    const [a, b] = [blocks[at + 2 * i], blocks[at + 2 * i + 1]];
    out[to + i] = ((a & 15) | ((b & 15) << 4)) ^ 0x88;
    out[to + 8 + i] = ((a >> 4) | (b & 0xf0)) ^ 0x88;
  }
}

/** The same with a fifth bit of each in a word before, as bytes less `zero`. */
const fiveBits =
  (before: number, zero: number): PerBlock =>
  (blocks, at, out, to) => {
    const high = at + before;
    for (let i = 0; i < 16; i++) {
      const byte = blocks[high + 4 + i];
      const bit = (e: number) => ((blocks[high + (e >> 3)] >> (e & 7)) & 1) << 4;
      out[to + i] = ((byte & 15) | bit(i)) - zero;
      out[to + 16 + i] = ((byte >> 4) | bit(16 + i)) - zero;
    }
  };

/** Scale and min of a group, 6 bits each, packed into 12 bytes. */
function sixBits(q: Uint8Array, at: number, g: number): readonly [scale: number, min: number] {
  if (g < 4) return [q[at + g] & 63, q[at + g + 4] & 63];
  return [(q[at + g + 4] & 15) | ((q[at + g - 4] >> 6) << 4), (q[at + g + 4] >> 4) | ((q[at + g] >> 6) << 4)];
}

const kScale: PerGroup = (block, at, g) => half(block, at) * sixBits(block, at + 4, g)[0];
const kMin: PerGroup = (block, at, g) => half(block, at + 2) * sixBits(block, at + 4, g)[1];

/** Stretches of 64: 32 bytes whose lower halves come before their upper ones. */
const q4k: PerBlock = (blocks, at, out, to) => {
  for (let i = 0; i < 128; i += 2) {
    const [a, b] = [blocks[at + 16 + i], blocks[at + 17 + i]];
    const place = to + (i >> 5) * 32 + ((i & 31) >> 1);
    out[place] = ((a & 15) | ((b & 15) << 4)) ^ 0x88;
    out[place + 16] = ((a >> 4) | (b & 0xf0)) ^ 0x88;
  }
};

const q5k: PerBlock = (blocks, at, out, to) => {
  for (let i = 0; i < 128; i++) {
    const byte = blocks[at + 48 + i];
    const high = blocks[at + 16 + (i & 31)] >> (2 * (i >> 5));
    const place = to + (i >> 5) * 64 + (i & 31);
    out[place] = (byte & 15) | ((high & 1) << 4);
    out[place + 32] = (byte >> 4) | ((high & 2) << 3);
  }
};

const q6k: PerBlock = (blocks, at, out, to) => {
  for (let part = 0; part < 2; part++) {
    for (let i = 0; i < 32; i++) {
      const low = at + 64 * part + i;
      const high = blocks[at + 128 + 32 * part + i];
      const place = to + 128 * part + i;
      out[place] = ((blocks[low] & 15) | ((high & 3) << 4)) - 32;
      out[place + 32] = ((blocks[low + 32] & 15) | (((high >> 2) & 3) << 4)) - 32;
      out[place + 64] = ((blocks[low] >> 4) | (((high >> 4) & 3) << 4)) - 32;
      out[place + 96] = ((blocks[low + 32] >> 4) | ((high >> 6) << 4)) - 32;
    }
  }
};

function type(
  elements: number,
  bytes: number,
  dtype: 'I8' | 'I4',
  unpack: PerBlock,
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
const after =
  (bytes: number): PerBlock =>
  (blocks, at, out, to) =>
    neighbours(blocks, at + bytes, out, to);

/** By ggml's number of the type. Nibbles are stored less 8, which the offsets of types that have any give back. */
export const GGML_QUANTIZED: ReadonlyMap<number, GgmlType> = new Map([
  [2, type(32, 18, 'I4', after(2))],
  [3, type(32, 20, 'I4', after(4), { scale: scale1, offset: (b, at) => half(b, at + 2) + 8 * half(b, at) })],
  [6, type(32, 22, 'I8', fiveBits(2, 16))],
  [7, type(32, 24, 'I8', fiveBits(4, 0), { scale: scale1, offset: (b, at) => half(b, at + 2) })],
  [
    8,
    type(32, 34, 'I8', (blocks, at, out, to) => {
      for (let i = 0; i < 32; i++) out[to + i] = blocks[at + 2 + i];
    }),
  ],
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
