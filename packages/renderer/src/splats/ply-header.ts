/**
 * The header of a PLY file: how its numbers are written, and which elements follow, each of so many rows of named properties. A property is
 * one number or a list with its length in front. Properties are found by name, since every writer has its own order. Format: Turk, "The PLY
 * polygon file format", 1994.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { type ByteSource, quote } from '@dwm/core-tensor/files';

/** Bytes of each type, under both of its names. */
export const PLY_BYTES = {
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
export type PlyType = keyof typeof PLY_BYTES;

type PlyEncoding = 'ascii' | 'binary_little_endian' | 'binary_big_endian';
const ENCODINGS: readonly string[] = ['ascii', 'binary_little_endian', 'binary_big_endian'];

interface PlyProperty {
  readonly type: PlyType;
  /** Of the list's length, for a list. */
  readonly countType?: PlyType;
}

export interface PlyElement {
  readonly name: string;
  readonly rows: number;
  readonly properties: ReadonlyMap<string, PlyProperty>;
}

export interface PlyHeader {
  readonly encoding: PlyEncoding;
  /** First byte behind the header. */
  readonly bytes: number;
  /** In the order in which they follow. */
  readonly elements: ReadonlyMap<string, PlyElement>;
}

/** More than any writer's comments need; a file without an end of its header is not read to its own end. */
const MAX_HEADER_BYTES = 1 << 18;

const isType = (word: string | undefined): word is PlyType => Object.hasOwn(PLY_BYTES, word ?? '');

/** Fewest bytes of a row: lists may be empty, and a number of text has a digit and a blank. */
function leastRowBytes({ encoding }: PlyHeader, { properties }: PlyElement): number {
  let bytes = 0;
  for (const { type, countType } of properties.values())
    bytes += encoding === 'ascii' ? 2 : PLY_BYTES[countType ?? type];
  return bytes;
}

/** @throws InvalidFileError for an unknown encoding or type, a header that never ends, or more rows than the file can hold. */
export async function readPlyHeader(source: ByteSource): Promise<PlyHeader> {
  const file = source.name;
  const head = await source.read(0, Math.min(source.size, MAX_HEADER_BYTES));
  const text = new TextDecoder('latin1').decode(head);
  // Lines end as the first one does; a lone return is of an old Mac.
  const lineEnd = /^ply[ \t]*(\r?\n|\r)/.exec(text)?.[1].includes('\n') ? '\\r?\\n' : '\\r';
  const end = new RegExp(`(?:${lineEnd})end_header[ \\t]*(?:${lineEnd})`).exec(text);
  if (!end)
    throw new InvalidFileError(file, 'has no end_header line: not a PLY file, or cut inside its header');

  let encoding: PlyEncoding | undefined;
  const elements = new Map<string, PlyElement>();
  let properties: Map<string, PlyProperty> | undefined;
  for (const line of text.slice(0, end.index).split(new RegExp(lineEnd))) {
    const [keyword, ...words] = line.trim().split(/\s+/);
    if (keyword === 'format') {
      if (!ENCODINGS.includes(words[0]))
        throw new InvalidFileError(
          file,
          `format is ${quote(words[0])}, expected one of ${ENCODINGS.join(', ')}`,
        );
      encoding = words[0] as PlyEncoding;
    } else if (keyword === 'element') {
      const [name, count] = words;
      const rows = Number(count);
      if (
        !/^[\w-]+$/.test(name ?? '') ||
        !/^\d+$/.test(count ?? '') ||
        !Number.isSafeInteger(rows) ||
        elements.has(name)
      ) {
        throw new InvalidFileError(file, `${quote(line)}: expected one new element and its number of rows`);
      }
      properties = new Map();
      elements.set(name, { name, rows, properties });
    } else if (keyword === 'property') {
      const isList = words[0] === 'list';
      const [countType, type, name] = isList ? words.slice(1) : [undefined, ...words];
      const counts = !isList || (isType(countType) && !/float|double/.test(countType));
      if (!properties || !isType(type) || !counts || !name || properties.has(name)) {
        throw new InvalidFileError(
          file,
          `${quote(line)}: expected a new number or list of an element, as in "property float x"`,
        );
      }
      properties.set(name, { type, ...(isList && { countType: countType as PlyType }) });
    }
  }
  if (!encoding)
    throw new InvalidFileError(file, `has no format line, expected one of ${ENCODINGS.join(', ')}`);
  const header = { encoding, bytes: end.index + end[0].length, elements };
  checkRows(source, header);
  return header;
}

/** What the file's size rules out is refused before anything is allocated for it. */
function checkRows({ name, size }: ByteSource, header: PlyHeader): void {
  let least = header.bytes;
  for (const element of header.elements.values()) {
    least += element.rows * leastRowBytes(header, element);
    // The last number of a text needs no blank behind it.
    if (least > size + (header.encoding === 'ascii' ? 1 : 0)) {
      throw new InvalidFileError(
        name,
        `element ${element.name} of ${element.rows} rows ends at byte ${least} or later, but the file has ${size} bytes: ` +
          'it was cut, or its header lies',
        { element: element.name, rows: element.rows, expected: least, actual: size },
      );
    }
  }
}

/** The names that `element` lacks, or has as lists. */
export const missingFrom = (element: PlyElement | undefined, names: readonly string[]): string[] =>
  names.filter((name) => {
    const property = element?.properties.get(name);
    return !property || property.countType !== undefined;
  });
