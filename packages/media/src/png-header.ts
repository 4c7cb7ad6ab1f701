/** What a PNG (ISO/IEC 15948) says before its pixels are unpacked, and whether its data can hold that much. */

interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly interlaced: boolean;
  /** Bytes of the unpacked, still filtered rows. */
  readonly unpackedBytes: number;
  /** From the header to the end mark, without it; offsets are of the whole chunk and of its body. */
  readonly chunks: readonly PngChunk[];
}

interface PngChunk {
  readonly type: string;
  readonly from: number;
  readonly body: number;
  readonly to: number;
}

/** What the file does not keep to; the message is half a sentence about it. */
export class PngError extends Error {}

/** Deflate packs at most this many bytes into one. */
const DEFLATE_RATIO = 1032;

/** Values of a pixel by colour type, and the depths that the type may have. */
const TYPES: Record<number, { channels: number; depths: readonly number[] }> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
};

/** First column and row of Adam7's passes, and the steps between their pixels. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** @throws PngError where the file is not whole; RangeError where it ends within its header. */
export function readPngHeader(bytes: Uint8Array): PngHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks = chunksOf(view);
  const [first, ...others] = chunks;
  if (first?.type !== 'IHDR' || first.to - first.body !== 17)
    throw new PngError('it does not begin with IHDR');
  // A second header would replace the first.
  if (others.some(({ type }) => type === 'IHDR')) throw new PngError('it has two headers');
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const [depth, type, interlaced] = [view.getUint8(24), view.getUint8(25), view.getUint8(28) === 1];
  const kind = TYPES[type];
  if (!kind?.depths.includes(depth)) throw new PngError(`colour type ${type} of ${depth} bits`);
  const rows = (w: number, h: number) =>
    w > 0 && h > 0 ? h * (1 + Math.ceil((w * kind.channels * depth) / 8)) : 0;
  const unpackedBytes = interlaced
    ? PASSES.reduce(
        (sum, [x, y, dx, dy]) => sum + rows(Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)),
        0,
      )
    : rows(width, height);
  const packed = chunks.reduce((sum, { type, body, to }) => sum + (type === 'IDAT' ? to - 4 - body : 0), 0);
  if (unpackedBytes > packed * DEFLATE_RATIO)
    throw new PngError(`${packed} bytes of data cannot hold ${width}x${height} pixels`);
  return { width, height, interlaced, unpackedBytes, chunks };
}

function chunksOf(view: DataView): PngChunk[] {
  const chunks: PngChunk[] = [];
  for (let from = 8; ; ) {
    const type = String.fromCharCode(...[4, 5, 6, 7].map((i) => view.getUint8(from + i)));
    if (type === 'IEND') return chunks;
    const body = from + 8;
    const to = body + view.getUint32(from) + 4;
    if (to > view.byteLength) throw new PngError('it ends within a chunk');
    chunks.push({ type, from, body, to });
    from = to;
  }
}
