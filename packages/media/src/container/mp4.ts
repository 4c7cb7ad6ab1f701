/**
 * The index of an MP4 or MOV file (ISO/IEC 14496-12), checked before the demuxer sees it: every table must lie in its
 * box, every count in the file, or a few bytes could ask for hours of work. Boxes are visited wherever the demuxer
 * would visit them. On the way it notes what the demuxer leaves out: the ends of edit lists, the shape of pixels.
 */
import { asciiOnly, type ByteSource, ContainerError, checkFrameCount, HeaderReader } from './bytes.ts';
import type { Edit } from './edits.ts';

/** What is known of a video track. */
export interface Mp4Track {
  readonly id: number;
  /** Four characters that name the codec, e.g. `avc1`. */
  readonly entry: string;
  /** Units per second of media times. */
  readonly timescale: number;
  /** Durations in seconds, media times in units of `timescale`; undefined where all of the media is shown. */
  readonly edits?: readonly Edit[];
  /** Width of a pixel by its height, where the file says it. */
  readonly pixelAspect?: number;
  /** Degrees that the picture is turned by clockwise, where it is not by quarters. */
  readonly slant?: number;
}

const NESTED = 16;
/** Boxes of a file outside its index: a fragment is two. */
const TOP_LEVEL = 200_000;

/** Entries of one time in a table: the demuxer takes them out one by one, each time moving the rest. */
const REPEATS = 1000;

/** Boxes that hold boxes and nothing before them. */
const CONTAINERS = [
  ...['moov', 'trak', 'mdia', 'minf', 'dinf', 'stbl', 'edts', 'mvex', 'moof', 'traf', 'mfra'],
  ...['sinf', 'schi', 'wave', 'udta'],
];

/** Bytes of an entry of the tables whose count stands after version and flags; an `elst` of version 1 has more. */
const ENTRIES = new Map(
  Object.entries({ stts: 8, ctts: 8, stss: 4, stsc: 12, stco: 4, co64: 8, elst: 12, keys: 8 }),
);
const LONG_EDIT = 20;

interface Box {
  readonly type: string;
  readonly body: number;
  readonly end: number;
}

interface OpenTrack {
  id: number;
  entry: string;
  handler: string;
  timescale: number;
  movieTimescale: number;
  edits?: { duration: number; mediaTime: number; rate: number }[];
  pasp?: number;
  /** Of the track's header, and of its sample description. */
  shown: [width: number, height: number];
  coded: [width: number, height: number];
  /** What the track's matrix makes of a width, by what it makes of a height. */
  stretch: number;
  /** Degrees that it turns by. */
  angle: number;
}

/**
 * The video tracks of a file.
 * @throws ContainerError for what does not add up.
 */
export async function readMp4(source: ByteSource): Promise<Mp4Track[]> {
  const reader = new HeaderReader(source);
  const moofs = new Set<number>();
  let index: Walker | undefined;
  let boxes = 0;
  for (let at = 0; at + 8 <= source.size; ) {
    if (++boxes > TOP_LEVEL) throw new ContainerError(`it has more than ${TOP_LEVEL} boxes`);
    const header = await reader.at(at, 16);
    const short = header.getUint32(0);
    const type = name(header, 4);
    const head = short === 1 ? 16 : 8;
    if (short === 1 && header.byteLength < 16) break;
    const size = short === 1 ? Number(header.getBigUint64(8)) : short === 0 ? source.size - at : short;
    if (size < head) throw new ContainerError(`its box ${asciiOnly(type)} at byte ${at} has ${size} bytes`);
    const whole = at + size <= source.size;
    if (type === 'moov' && !index) {
      if (!whole) throw new ContainerError('its index (moov) is cut off');
      index = new Walker(await load(source, at + head, at + size), source.size);
      index.walk('moov');
    } else if (type === 'moof' && index) {
      if (!whole) break;
      moofs.add(at);
      index.continue(await load(source, at + head, at + size), 'moof');
    }
    at += size;
  }
  if (!index) throw new ContainerError('it has no index (moov): the end of the file is missing');
  if (index.fragmented) await checkRandomAccess(source, index, moofs);
  return index.tracks();
}

/** The table of fragments at the end of the file is found from the last four bytes, which may point anywhere. */
async function checkRandomAccess(
  source: ByteSource,
  index: Walker,
  moofs: ReadonlySet<number>,
): Promise<void> {
  const last = view(await source.read(source.size - 4, source.size));
  const at = source.size - (last.byteLength === 4 ? last.getUint32(0) : 0);
  if (at < 0 || at + 16 > source.size) return;
  const header = view(await source.read(at, at + 8));
  const size = header.getUint32(0);
  if (name(header, 4) !== 'mfra' || size < 8 || at + size > source.size) return;
  for (const offset of index.fragmentOffsets(await load(source, at + 8, at + size))) {
    if (!moofs.has(offset)) throw new ContainerError(`its table of fragments points to byte ${offset}`);
  }
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const load = async (source: ByteSource, from: number, to: number) => {
  const bytes = view(await source.read(from, to));
  if (bytes.byteLength !== to - from) throw new ContainerError('it ends within its index');
  return bytes;
};
const name = (from: DataView, at: number) =>
  String.fromCharCode(...[0, 1, 2, 3].map((i) => from.getUint8(at + i)));

/** Degrees that writers round by. */
const SLANT = 1;
const fromQuarters = (angle: number) => Math.abs(angle - 90 * Math.round(angle / 90));

/** For a count of samples, or of a table's entries, that cannot be. */
function noRoom(count: number, table?: string): ContainerError {
  const claim = table ? `its table ${table} claims ${count} entries` : `it claims ${count} samples`;
  return new ContainerError(`${claim}, more than it has room for`);
}

/** Goes through the boxes of one range of the file after another. */
class Walker {
  #view: DataView;
  readonly #fileSize: number;
  readonly #tracks: OpenTrack[] = [];
  #track: OpenTrack | undefined;
  #movieTimescale = 0;
  /** Samples of runs, which may be in any number of fragments. */
  #runs = 0;
  fragmented = false;

  constructor(bytes: DataView, fileSize: number) {
    this.#view = bytes;
    this.#fileSize = fileSize;
  }

  walk(type: string): void {
    this.#visit({ type, body: 0, end: this.#view.byteLength }, 0, '');
  }

  continue(bytes: DataView, type: string): void {
    this.#view = bytes;
    this.walk(type);
  }

  tracks(): Mp4Track[] {
    return this.#tracks
      .filter(({ handler }) => handler === 'vide')
      .map((track) => ({
        id: track.id,
        entry: track.entry,
        timescale: track.timescale,
        edits: track.edits?.map(({ duration, ...edit }) => ({
          ...edit,
          duration: duration / (track.movieTimescale || this.#movieTimescale),
        })),
        pixelAspect: pixelAspect(track),
        slant: fromQuarters(track.angle) > SLANT ? track.angle : undefined,
      }));
  }

  *#boxes(from: number, to: number): Generator<Box> {
    for (let at = from; at + 8 <= to; ) {
      const short = this.#view.getUint32(at);
      const head = short === 1 ? 16 : 8;
      if (at + head > to) return;
      const size = short === 1 ? Number(this.#view.getBigUint64(at + 8)) : short;
      // The demuxer stops here too; some writers end a list of boxes with a zero.
      if (size < head) return;
      const type = name(this.#view, at + 4);
      if (at + size > to) throw new ContainerError(`its box ${asciiOnly(type)} is larger than what it is in`);
      yield { type, body: at + head, end: at + size };
      at += size;
    }
  }

  #visit(box: Box, depth: number, parent: string): void {
    if (depth > NESTED) throw new ContainerError(`its boxes are nested more than ${NESTED} deep`);
    this.#checkTable(box);
    switch (box.type) {
      case 'trak':
        this.#track = {
          ...{ id: -1, entry: '', handler: '', timescale: 0, movieTimescale: 0 },
          ...{ shown: [0, 0], coded: [0, 0], stretch: 1, angle: 0 },
        };
        this.#tracks.push(this.#track);
        break;
      case 'mvex':
        this.fragmented = true;
        break;
      case 'stsd':
        this.#visitEntries(box, depth);
        return;
      case 'meta': {
        // With version and flags, or, in QuickTime, without.
        const plain = box.end - box.body >= 4 && this.#view.getUint32(box.body) !== 0;
        this.#visitAll(box.body + (plain ? 0 : 4), box.end, depth);
        return;
      }
      case 'hdlr':
        // QuickTime has another one beside the samples, of where these are, and one in its user data.
        if (this.#track && parent === 'mdia') this.#track.handler = name(this.#view, box.body + 8);
        break;
      default:
        this.#note(box);
    }
    if (CONTAINERS.includes(box.type)) this.#visitAll(box.body, box.end, depth, box.type);
    if (box.type === 'trak') this.#track = undefined;
  }

  #visitAll(from: number, to: number, depth: number, parent = ''): void {
    for (const box of this.#boxes(from, to)) this.#visit(box, depth + 1, parent);
  }

  /** Descriptions of the samples: a fixed part, then boxes. */
  #visitEntries({ body, end }: Box, depth: number): void {
    const version = this.#view.getUint8(body);
    for (const entry of this.#boxes(body + 8, end)) {
      const track = this.#track;
      let from = entry.end;
      if (track?.handler === 'vide' && entry.end - entry.body >= 78) {
        track.entry ||= entry.type;
        track.coded = [this.#view.getUint16(entry.body + 24), this.#view.getUint16(entry.body + 26)];
        from = entry.body + 78;
      } else if (track?.handler === 'soun' && entry.end - entry.body >= 28) {
        const sound = version === 0 ? this.#view.getUint16(entry.body + 8) : 0;
        from = entry.body + 28 + ([0, 16, 36][sound] ?? 0);
      }
      this.#visitAll(Math.min(from, entry.end), entry.end, depth + 1);
    }
  }

  #checkTable({ type, body, end }: Box): void {
    const plain = ENTRIES.get(type);
    if (plain === undefined) return;
    const entry = type === 'elst' && this.#view.getUint8(body) === 1 ? LONG_EDIT : plain;
    const count = this.#view.getUint32(body + 4);
    if (count * entry > end - body - 8) throw noRoom(count, type);
  }

  #note({ type, body, end }: Box): void {
    const bytes = this.#view;
    const track = this.#track;
    const long = bytes.byteLength > body && bytes.getUint8(body) === 1;
    if (type === 'mvhd') this.#movieTimescale = bytes.getUint32(body + (long ? 20 : 12));
    if (type === 'trun') this.#checkRun(body, end);
    if (!track) return;
    if (type === 'tkhd') {
      track.id = bytes.getUint32(body + (long ? 20 : 12));
      const size = body + (long ? 88 : 76);
      track.shown = [bytes.getUint32(size) / 65536, bytes.getUint32(size + 4) / 65536];
      const [a, b, , c, d] = [0, 1, 2, 3, 4].map((i) => bytes.getInt32(size - 36 + 4 * i));
      const [across, down] = [Math.hypot(a, b), Math.hypot(c, d)];
      if (across > 0 && down > 0) track.stretch = across / down;
      track.angle = (Math.atan2(b, a) * 180) / Math.PI;
    } else if (type === 'mdhd') track.timescale = bytes.getUint32(body + (long ? 20 : 12));
    else if (type === 'pasp') {
      const [across, down] = [bytes.getUint32(body), bytes.getUint32(body + 4)];
      if (across > 0 && down > 0) track.pasp = across / down;
    } else if (type === 'elst') track.edits = this.#edits(body, long);
    else if (type === 'stts' || type === 'ctts') this.#checkCounts(body);
    else if (type === 'stsz') {
      const [size, count] = [bytes.getUint32(body + 4), bytes.getUint32(body + 8)];
      if (count * (size || 4) > (size ? this.#fileSize : end - body - 12)) throw noRoom(count);
      this.#checkFrames(count);
    } else if (type === 'stz2') {
      const [bits, count] = [bytes.getUint8(body + 7), bytes.getUint32(body + 8)];
      if (![4, 8, 16].includes(bits) || (count * bits) / 8 > end - body - 12) throw noRoom(count);
      this.#checkFrames(count);
    }
  }

  #edits(body: number, long: boolean) {
    const bytes = this.#view;
    return Array.from({ length: bytes.getUint32(body + 4) }, (_, i) => {
      const at = body + 8 + i * (long ? 20 : 12);
      return {
        duration: long ? Number(bytes.getBigUint64(at)) : bytes.getUint32(at),
        mediaTime: long ? Number(bytes.getBigInt64(at + 8)) : bytes.getInt32(at + 4),
        rate: bytes.getInt32(at + (long ? 16 : 8)) / 65536,
      };
    });
  }

  /** Runs of equal samples. */
  #checkCounts(body: number): void {
    let samples = 0;
    for (let i = 0, count = this.#view.getUint32(body + 4); i < count; i++)
      samples += this.#view.getUint32(body + 8 + i * 8);
    this.#checkFrames(samples);
  }

  /** Sound has more samples than pictures; each takes at least a byte of the file. */
  #checkFrames(samples: number): void {
    if (this.#track?.handler !== 'soun') checkFrameCount(samples);
    else if (samples > this.#fileSize) throw noRoom(samples);
  }

  #checkRun(body: number, end: number): void {
    const flags = this.#view.getUint32(body) & 0xffffff;
    const count = this.#view.getUint32(body + 4);
    const bits = (mask: number) => [...(flags & mask).toString(2)].filter((bit) => bit === '1').length;
    if (count * bits(0xf00) * 4 > end - body - 8 - bits(0x5) * 4) throw noRoom(count, 'trun');
    this.#runs += count;
    checkFrameCount(this.#runs / 8);
    if (this.#runs > this.#fileSize) throw noRoom(this.#runs);
  }

  /** Where the table of fragments says that they are. */
  fragmentOffsets(bytes: DataView): number[] {
    this.#view = bytes;
    const offsets: number[] = [];
    for (const { type, body, end } of this.#boxes(0, bytes.byteLength)) {
      if (type !== 'tfra') continue;
      const long = bytes.getUint8(body) === 1;
      const lengths = bytes.getUint32(body + 8);
      const numbers = [4, 2, 0].reduce((sum, shift) => sum + ((lengths >> shift) & 3) + 1, 0);
      const entry = (long ? 16 : 8) + numbers;
      const count = bytes.getUint32(body + 12);
      if (count * entry > end - body - 16) throw noRoom(count, 'tfra');
      const times = new Set<bigint | number>();
      for (let i = 0; i < count; i++) {
        const at = body + 16 + i * entry;
        times.add(long ? bytes.getBigUint64(at) : bytes.getUint32(at));
        offsets.push(long ? Number(bytes.getBigUint64(at + 8)) : bytes.getUint32(at + 4));
      }
      if (count - times.size > REPEATS) throw new ContainerError('its table tfra repeats itself');
    }
    return offsets;
  }
}

/**
 * As the file says in a box of its own, which stands alone, as for FFmpeg; without one, the track's own shape against
 * that of its pictures, and what its matrix stretches.
 */
function pixelAspect({ pasp, shown, coded, stretch }: OpenTrack): number | undefined {
  if (pasp) return pasp;
  const stretched = Math.abs(stretch - 1) > 0.01 ? stretch : 1;
  const unlessSquare = (aspect: number) => (aspect === 1 ? undefined : aspect);
  if (shown.includes(0) || coded.includes(0)) return unlessSquare(stretched);
  const aspect = stretched * ((shown[0] * coded[1]) / (shown[1] * coded[0]));
  // Sizes are whole numbers for some writers.
  const close = Math.abs(shown[0] - coded[0]) < 1 && Math.abs(shown[1] - coded[1]) < 1;
  return close ? unlessSquare(stretched) : aspect;
}
