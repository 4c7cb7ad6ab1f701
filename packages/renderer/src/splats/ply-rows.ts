/**
 * The rows behind a PLY header. Elements are read in the order in which they lie in the file: rows of plain numbers in chunks, rows
 * with lists one by one, text line by line. An element that nobody wants is passed over.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ByteSource } from '@dwm/core-tensor/files';
import { PLY_BYTES, type PlyElement, type PlyHeader, type PlyType } from './ply-header.ts';

/** Where a property's values go: element `offset + row * step` of `into`. */
export interface PlyColumn {
  readonly name: string;
  readonly into: Float32Array | Uint32Array;
  readonly offset: number;
  readonly step: number;
}

/** Rows are read in chunks of about this size. */
const PIECE_BYTES = 4 << 20;
/** A row of text is a few kilobytes; a file without line ends is not read into one string. */
const MAX_LINE_BYTES = 1 << 22;

/**
 * Fills the columns of the named elements, which must have the properties.
 * @throws InvalidFileError where the file ends before its rows do, or a row of text is not what the header says.
 */
export async function readPlyRows(
  source: ByteSource,
  header: PlyHeader,
  wanted: ReadonlyMap<string, readonly PlyColumn[]>,
): Promise<void> {
  const rows = header.encoding === 'ascii' ? new TextRows(source, header) : new BinaryRows(source, header);
  const missing = new Set(wanted.keys());
  for (const element of header.elements.values()) {
    if (missing.size === 0) return;
    await rows.read(element, wanted.get(element.name) ?? []);
    missing.delete(element.name);
  }
}

class BinaryRows {
  readonly #source: ByteSource;
  readonly #little: boolean;
  #at: number;
  /** A part of the file, for rows of no fixed size. */
  #chunk: { from: number; view: DataView } = { from: 0, view: new DataView(new ArrayBuffer(0)) };

  constructor(source: ByteSource, { encoding, bytes }: PlyHeader) {
    this.#source = source;
    this.#little = encoding === 'binary_little_endian';
    this.#at = bytes;
  }

  async read(element: PlyElement, columns: readonly PlyColumn[]): Promise<void> {
    const properties = [...element.properties.values()];
    if (properties.some(({ countType }) => countType !== undefined)) return this.#readLists(element, columns);
    const offsets = new Map<string, number>();
    let stride = 0;
    for (const [name, { type }] of element.properties) {
      offsets.set(name, stride);
      stride += PLY_BYTES[type];
    }
    const { rows } = element;
    const rowsAtOnce = Math.max(1, Math.floor(PIECE_BYTES / Math.max(1, stride)));
    const chunk = new Uint8Array(columns.length === 0 ? 0 : Math.min(rows, rowsAtOnce) * stride);
    const view = new DataView(chunk.buffer);
    for (let first = 0; first < rows && columns.length > 0; first += rowsAtOnce) {
      const n = Math.min(rowsAtOnce, rows - first);
      this.#check(element, first, n * stride);
      await this.#source.read(this.#at + first * stride, n * stride, chunk);
      for (const { name, into, offset, step } of columns) {
        const { type } = element.properties.get(name)!;
        copyColumn(
          view,
          type,
          this.#little,
          offsets.get(name)!,
          stride,
          n,
          into,
          offset + first * step,
          step,
        );
      }
    }
    this.#at += rows * stride;
  }

  async #readLists(element: PlyElement, columns: readonly PlyColumn[]): Promise<void> {
    const properties = [...element.properties].map(([name, { type, countType }]) => ({
      type,
      countType,
      column: columns.find((column) => column.name === name),
    }));
    for (let row = 0; row < element.rows; row++) {
      for (const { type, countType, column } of properties) {
        if (countType === undefined) {
          const value = await this.#number(element, row, type);
          if (column) column.into[column.offset + row * column.step] = value;
          continue;
        }
        const length = await this.#number(element, row, countType);
        const bytes = length * PLY_BYTES[type];
        if (length < 0)
          throw new InvalidFileError(
            this.#source.name,
            `element ${element.name}, row ${row}: a list of ${length}`,
          );
        this.#check(element, row, bytes);
        this.#at += bytes;
      }
    }
  }

  #check({ name }: PlyElement, row: number, bytes: number): void {
    if (this.#at + bytes <= this.#source.size) return;
    throw new InvalidFileError(
      this.#source.name,
      `element ${name}, row ${row} lies beyond the file's ${this.#source.size} bytes: it was cut, or its header lies`,
      { element: name, row },
    );
  }

  async #number(element: PlyElement, row: number, type: PlyType): Promise<number> {
    const bytes = PLY_BYTES[type];
    this.#check(element, row, bytes);
    let { from, view } = this.#chunk;
    if (this.#at < from || this.#at + bytes > from + view.byteLength) {
      const length = Math.min(PIECE_BYTES, this.#source.size - this.#at);
      const chunk = await this.#source.read(this.#at, length);
      this.#chunk = {
        from: this.#at,
        view: new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength),
      };
      ({ from, view } = this.#chunk);
    }
    this.#at += bytes;
    return GETTERS[type](view, this.#at - bytes - from, this.#little);
  }
}

class TextRows {
  readonly #source: ByteSource;
  #at: number;
  #lines: string[] = [];
  #rest = '';
  #next = 0;

  constructor(source: ByteSource, { bytes }: PlyHeader) {
    this.#source = source;
    this.#at = bytes;
  }

  async read(element: PlyElement, columns: readonly PlyColumn[]): Promise<void> {
    const properties = [...element.properties].map(([name, { countType }]) => ({
      name,
      isList: countType !== undefined,
      column: columns.find((column) => column.name === name),
    }));
    for (let row = 0; row < element.rows; row++) {
      const line = this.#lines[this.#next++] ?? (await this.#moreLines());
      if (line === undefined)
        throw this.#bad(element, row, 'is not there: the file was cut, or its header lies');
      const words = line.split(/[ \t]+/);
      let at = 0;
      for (const { name, isList, column } of properties) {
        const word = words[at++];
        const value = toNumber(word);
        if (value === undefined) throw this.#bad(element, row, `${name} is no number`);
        if (column) column.into[column.offset + row * column.step] = value;
        if (isList) at += value;
      }
      if (at !== words.length)
        throw this.#bad(element, row, `has ${words.length} numbers on its line, expected ${at}`);
    }
  }

  #bad({ name }: PlyElement, row: number, problem: string): InvalidFileError {
    return new InvalidFileError(this.#source.name, `element ${name}, row ${row}: ${problem}`, {
      element: name,
      row,
    });
  }

  /** The first of the next lines that are not empty; `undefined` at the end of the file. */
  async #moreLines(): Promise<string | undefined> {
    const { name, size } = this.#source;
    for (;;) {
      const length = Math.min(PIECE_BYTES, size - this.#at);
      const isEnd = length === 0;
      if (isEnd && this.#rest.trim() === '') return undefined;
      const chunk = isEnd ? new Uint8Array() : await this.#source.read(this.#at, length);
      const text = this.#rest + new TextDecoder('latin1').decode(chunk);
      this.#at += length;
      const lines = text.split(/[\r\n]+/);
      this.#rest = isEnd ? '' : lines.pop()!;
      if (this.#rest.length > MAX_LINE_BYTES)
        throw new InvalidFileError(name, `has a line of over ${MAX_LINE_BYTES} bytes: no rows of text`);
      this.#lines = lines.map((line) => line.trim()).filter((line) => line !== '');
      this.#next = 1;
      if (this.#lines.length > 0) return this.#lines[0];
    }
  }
}

/** C's spellings of what is no number are numbers to PLY; whoever reads them decides. `undefined` for anything else. */
function toNumber(word: string | undefined): number | undefined {
  if (word === undefined || word === '') return undefined;
  const value = Number(word);
  if (!Number.isNaN(value)) return value;
  if (/^[-+]?(nan|1\.#(ind|qnan|snan))/i.test(word)) return Number.NaN;
  const infinite = /^([-+]?)(inf|1\.#inf)/i.exec(word);
  if (infinite) return infinite[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return undefined;
}

function copyColumn(
  view: DataView,
  type: PlyType,
  little: boolean,
  offset: number,
  stride: number,
  rows: number,
  into: Float32Array | Uint32Array,
  first: number,
  step: number,
): void {
  // The two types that splat files are made of; a call through the table costs ten times as much.
  if (type === 'float' || type === 'float32') {
    for (let i = 0; i < rows; i++) into[first + i * step] = view.getFloat32(offset + i * stride, little);
  } else if (type === 'uchar' || type === 'uint8') {
    for (let i = 0; i < rows; i++) into[first + i * step] = view.getUint8(offset + i * stride);
  } else {
    const get = GETTERS[type];
    for (let i = 0; i < rows; i++) into[first + i * step] = get(view, offset + i * stride, little);
  }
}

type Getter = (view: DataView, at: number, little: boolean) => number;
const int8: Getter = (view, at) => view.getInt8(at);
const uint8: Getter = (view, at) => view.getUint8(at);
const int16: Getter = (view, at, little) => view.getInt16(at, little);
const uint16: Getter = (view, at, little) => view.getUint16(at, little);
const int32: Getter = (view, at, little) => view.getInt32(at, little);
const uint32: Getter = (view, at, little) => view.getUint32(at, little);
const float32: Getter = (view, at, little) => view.getFloat32(at, little);
const float64: Getter = (view, at, little) => view.getFloat64(at, little);
const GETTERS: Record<PlyType, Getter> = {
  char: int8,
  int8,
  uchar: uint8,
  uint8,
  short: int16,
  int16,
  ushort: uint16,
  uint16,
  int: int32,
  int32,
  uint: uint32,
  uint32,
  float: float32,
  float32,
  double: float64,
  float64,
};
