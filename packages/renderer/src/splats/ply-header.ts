/**
 * The header of a binary little-endian PLY file: which elements follow, how many rows each has, and where in a
 * row each property lies. Properties are found by name, since every writer has its own order.
 */
import { type ByteSource, InvalidFileError } from '@dwm/core-tensor';

const BYTES = {
  char: 1,
  int8: 1,
  uchar: 1,
  uint8: 1,
  short: 2,
  int16: 2,
  ushort: 2,
  uint16: 2,
  int: 4,
  int32: 4,
  uint: 4,
  uint32: 4,
  float: 4,
  float32: 4,
  double: 8,
  float64: 8,
} as const;
type PlyType = keyof typeof BYTES;

export interface PlyProperty {
  readonly type: PlyType;
  /** Bytes from the start of a row. */
  readonly offset: number;
}

export interface PlyElement {
  readonly name: string;
  readonly rows: number;
  /** Bytes a row. */
  readonly stride: number;
  /** First byte in the file. */
  readonly start: number;
  readonly properties: ReadonlyMap<string, PlyProperty>;
}

/** More than any writer's comments need; a file without an end of its header is not read to its own end. */
const MAX_HEADER_BYTES = 1 << 18;

/** Rows are read in pieces of about this size. */
const PIECE_BYTES = 4 << 20;

/** Words of a file as a message can hold them: short, and on one line. */
const quoted = (text = '') => `"${text.slice(0, 80).replaceAll(/[^ -~]/g, '?')}"`;

/**
 * Elements by name, all of them inside the file.
 * @throws InvalidFileError for another encoding, lists, a header that never ends, or rows beyond the file's end.
 */
export async function readPlyHeader(source: ByteSource): Promise<Map<string, PlyElement>> {
  const file = source.name;
  const head = await source.read(0, Math.min(source.size, MAX_HEADER_BYTES));
  const text = new TextDecoder('latin1').decode(head);
  const end = /^end_header\r?\n/m.exec(text);
  if (!end)
    throw new InvalidFileError(file, 'has no end_header line: not a PLY file, or cut inside its header');

  const elements = new Map<string, PlyElement>();
  let start = end.index + end[0].length;
  let open: { name: string; rows: number; stride: number; properties: Map<string, PlyProperty> } | undefined;
  const close = () => {
    if (!open) return;
    elements.set(open.name, { ...open, start });
    start += open.rows * open.stride;
    if (start > source.size) {
      throw new InvalidFileError(
        file,
        `element ${open.name} of ${open.rows} rows ends at byte ${start}, but the file has ${source.size} bytes: ` +
          'it was cut, or its header lies',
        { element: open.name, rows: open.rows, expected: start, actual: source.size },
      );
    }
  };
  for (const line of text.slice(0, end.index).split(/\r?\n/)) {
    const [keyword, ...words] = line.trim().split(/\s+/);
    if (keyword === 'format' && words[0] !== 'binary_little_endian') {
      throw new InvalidFileError(
        file,
        `format is ${quoted(words[0])}, expected binary_little_endian: export it as binary PLY`,
      );
    } else if (keyword === 'element') {
      close();
      const [name, count] = words;
      const rows = Number(count);
      if (
        !/^\w+$/.test(name ?? '') ||
        !/^\d+$/.test(count ?? '') ||
        !Number.isSafeInteger(rows) ||
        elements.has(name)
      ) {
        throw new InvalidFileError(file, `${quoted(line)}: expected one new element and its number of rows`);
      }
      open = { name, rows, stride: 0, properties: new Map() };
    } else if (keyword === 'property') {
      const [type, name] = words;
      if (!open || !Object.hasOwn(BYTES, type) || !name || open.properties.has(name)) {
        throw new InvalidFileError(
          file,
          `${quoted(line)}: expected a new number of an element, as in "property float x"`,
        );
      }
      open.properties.set(name, { type: type as PlyType, offset: open.stride });
      open.stride += BYTES[type as PlyType];
    }
  }
  close();
  return elements;
}

/** Where a property's values go: element `offset + row * step` of `into`. */
export interface PlyColumn {
  readonly name: string;
  readonly into: Float32Array | Uint32Array;
  readonly offset: number;
  readonly step: number;
}

/** The names that `element` lacks. */
export const missingFrom = (element: PlyElement | undefined, names: readonly string[]): string[] =>
  names.filter((name) => !element?.properties.has(name));

/** Reads the named properties of all rows. They must be there. */
export async function readPlyColumns(
  source: ByteSource,
  element: PlyElement,
  columns: readonly PlyColumn[],
): Promise<void> {
  const { rows, stride, start, properties } = element;
  const rowsAtOnce = Math.max(1, Math.floor(PIECE_BYTES / stride));
  const piece = new Uint8Array(Math.min(rows, rowsAtOnce) * stride);
  const view = new DataView(piece.buffer);
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const n = Math.min(rowsAtOnce, rows - first);
    await source.read(start + first * stride, n * stride, piece);
    for (const { name, into, offset, step } of columns) {
      const property = properties.get(name)!;
      copyColumn(view, property, stride, n, into, offset + first * step, step);
    }
  }
}

function copyColumn(
  view: DataView,
  { type, offset }: PlyProperty,
  stride: number,
  rows: number,
  into: Float32Array | Uint32Array,
  first: number,
  step: number,
): void {
  // The two types that splat files are made of; a call through the table costs ten times as much.
  if (type === 'float' || type === 'float32') {
    for (let i = 0; i < rows; i++) into[first + i * step] = view.getFloat32(offset + i * stride, true);
  } else if (type === 'uchar' || type === 'uint8') {
    for (let i = 0; i < rows; i++) into[first + i * step] = view.getUint8(offset + i * stride);
  } else {
    const get = GETTERS[type];
    for (let i = 0; i < rows; i++) into[first + i * step] = get(view, offset + i * stride);
  }
}

type Getter = (view: DataView, at: number) => number;
const int8: Getter = (view, at) => view.getInt8(at);
const int16: Getter = (view, at) => view.getInt16(at, true);
const uint16: Getter = (view, at) => view.getUint16(at, true);
const int32: Getter = (view, at) => view.getInt32(at, true);
const uint32: Getter = (view, at) => view.getUint32(at, true);
const float64: Getter = (view, at) => view.getFloat64(at, true);
const GETTERS: Record<Exclude<PlyType, 'float' | 'float32' | 'uchar' | 'uint8'>, Getter> = {
  char: int8,
  int8,
  short: int16,
  int16,
  ushort: uint16,
  uint16,
  int: int32,
  int32,
  uint: uint32,
  uint32,
  double: float64,
  float64,
};
