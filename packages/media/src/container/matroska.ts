/**
 * The elements of a WebM or Matroska file (RFC 9559), checked before the demuxer sees them: how many frames their
 * blocks hold, and how long its index is. The demuxer itself reads nothing beyond an element's end.
 */
import { type ByteSource, ContainerError, checkFrameCount, HeaderReader } from './bytes.ts';

const CUE_POINT = 0xbb;
/** SimpleBlock and Block. */
const BLOCKS = [0xa3, 0xa1];
/** Elements that hold those above: Segment, Cluster, BlockGroup, Cues. */
const MASTERS = [0x18538067, 0x1f43b675, 0xa0, 0x1c53bb6b];

const SEGMENT = 0x18538067;
/** What a segment is made of. */
const TOP = [0x114d9b74, 0x1549a966, 0x1654ae6b, 0x1f43b675, 0x1c53bb6b, 0x1941a469, 0x1043a770, 0x1254c367];
/** Padding and checksums lie there too: with anything else the demuxer searches for the next, and may never end. */
const IN_SEGMENT = [...TOP, 0xec, 0xbf];

/** Entries of an index: the demuxer takes out those of one time one by one, each time moving the rest. */
const CUE_POINTS = 50_000;
/** Blocks of sound are shorter than pictures. */
const SOUND = 8;

interface Element {
  readonly id: number;
  readonly body: number;
  /** Undefined where the file does not say. */
  readonly size: number | undefined;
}

/**
 * @returns the bytes of the file that hold elements: what follows is padding.
 * @throws ContainerError for what does not add up.
 */
export async function checkMatroska(source: ByteSource): Promise<number> {
  const reader = new HeaderReader(source);
  let [at, frames, cues] = [0, 0, 0];
  /** Ends of the elements that the present one lies in. */
  const ends: number[] = [];
  while (at + 2 <= source.size) {
    const header = await reader.at(at, 12);
    if (header.getUint8(0) === 0) return at;
    const { id, body, size } = elementAt(header, at);
    while (ends.length > 0 && at >= ends[ends.length - 1]) ends.pop();
    // A cluster of unknown size ends where the segment goes on.
    if (ends.length > 1 && TOP.includes(id)) ends.length = 1;
    if (ends.length === 1 && id !== SEGMENT && !IN_SEGMENT.includes(id))
      throw new ContainerError(`its element at byte ${at} does not belong there`);
    const end = size === undefined ? Number.POSITIVE_INFINITY : body + size;
    // After the outer one the demuxer goes on within this one, as with what does not belong there.
    if (ends.length > 1 && size !== undefined && end > ends[ends.length - 1])
      throw new ContainerError(`its element at byte ${at} is larger than what it is in`);
    if (MASTERS.includes(id)) ends.push(end);
    if (id === CUE_POINT && ++cues > CUE_POINTS)
      throw new ContainerError(`its index has more than ${CUE_POINTS} entries`);
    if (BLOCKS.includes(id)) {
      frames += await framesOf(reader, body);
      checkFrameCount(frames / SOUND);
    }
    if (MASTERS.includes(id)) at = body;
    else if (size === undefined) throw new ContainerError(`its element at byte ${at} has no end`);
    else at = end;
  }
  return source.size;
}

function elementAt(header: DataView, at: number): Element {
  const idLength = Math.clz32(header.getUint8(0)) - 23;
  if (idLength > 4 || header.byteLength <= idLength)
    throw new ContainerError(`it holds no element at byte ${at}`);
  let id = 0;
  for (let i = 0; i < idLength; i++) id = id * 256 + header.getUint8(i);
  const sizeLength = Math.clz32(header.getUint8(idLength)) - 23;
  if (sizeLength > 8 || header.byteLength < idLength + sizeLength)
    throw new ContainerError(`its element at byte ${at} has no size`);
  let size = header.getUint8(idLength) & (0xff >> sizeLength);
  let unknown = size === 0xff >> sizeLength;
  for (let i = 1; i < sizeLength; i++) {
    const byte = header.getUint8(idLength + i);
    size = size * 256 + byte;
    unknown &&= byte === 0xff;
  }
  return { id, body: at + idLength + sizeLength, size: unknown ? undefined : size };
}

/** Frames of a block: more than one where they are laced. */
async function framesOf(reader: HeaderReader, body: number): Promise<number> {
  const block = await reader.at(body, 12);
  if (block.byteLength < 5) return 0;
  // The number of the track, two bytes of time, flags, frames less one.
  const flags = Math.clz32(block.getUint8(0)) - 23 + 2;
  if (flags + 1 >= block.byteLength) return 0;
  return (block.getUint8(flags) & 0x06) === 0 ? 1 : block.getUint8(flags + 1) + 1;
}
