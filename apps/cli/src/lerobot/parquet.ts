/** Parquet files, a row group at a time. */
import { InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import { openPath } from '@dwm/core-tensor/node';
import {
  type AsyncBuffer,
  type ColumnChunk,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
} from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';

export type Row = Readonly<Record<string, unknown>>;

/** More than a row group holds; what claims more is damaged. */
const MOST_ROWS = 2 ** 22;

/** Of one column of one row group. */
const MOST_VALUES = 2 ** 25;
/** The same, decoded. */
const MOST_BYTES = 2 ** 29;

/**
 * The rows in which a column of whole numbers is `value`, which follow each other, of the columns asked for.
 * @throws InvalidFileError for what is no parquet file, is damaged, or lacks a column.
 */
export async function rowsWhere(
  path: string,
  column: string,
  value: number,
  columns: readonly string[],
): Promise<Row[]> {
  const source = await openPath(path);
  const file: AsyncBuffer = {
    byteLength: source.size,
    slice: async (start, end = source.size) => {
      const bytes = await source.read(start, end - start);
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    },
  };
  try {
    const metadata = await parquetMetadataAsync(file);
    checkColumns(path, metadata, [column, ...columns]);
    const rows: Row[] = [];
    let start = 0;
    for (const [group, size] of rowGroupSizes(path, metadata).entries()) {
      const read = async (names: readonly string[], from: number, to: number) => {
        for (const column of metadata.row_groups[group].columns)
          if (names.includes(column.meta_data?.path_in_schema[0] ?? '')) await checkPages(path, file, column);
        return parquetReadObjects({ file, metadata, columns: [...names], rowStart: from, rowEnd: to });
      };
      const keys = await read([column], start, start + size);
      const first = keys.findIndex((row) => Number(row[column]) === value);
      if (first >= 0) {
        const last = keys.findLastIndex((row) => Number(row[column]) === value);
        rows.push(...(await read(columns, start + first, start + last + 1)));
      } else if (rows.length > 0) break;
      start += size;
    }
    return rows;
  } catch (error) {
    if (error instanceof InvalidFileError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidFileError(
      path,
      `cannot be read as parquet (${quote(reason.slice(0, 160))}): it is damaged, or packed in another way than snappy; fetch it again`,
    );
  } finally {
    await source.close?.();
  }
}

/**
 * A page that claims more values than its column would have the reader count them one by one, and without the lengths
 * of its levels it reads other bytes as counts.
 * @throws InvalidFileError for such a page.
 */
async function checkPages(path: string, file: AsyncBuffer, { meta_data }: ColumnChunk): Promise<void> {
  if (!meta_data) return;
  const begin = Number(meta_data.dictionary_page_offset || meta_data.data_page_offset);
  const bytes = await file.slice(begin, begin + Number(meta_data.total_compressed_size));
  const reader = { view: new DataView(bytes), offset: 0 };
  const most = Math.min(Number(meta_data.num_values), MOST_VALUES);
  while (reader.offset < bytes.byteLength) {
    const page = parquetHeader(reader);
    const { num_values } = page.data_page_header ??
      page.data_page_header_v2 ??
      page.dictionary_page_header ?? { num_values: 0 };
    const size = page.compressed_page_size;
    if (!(num_values >= 0 && num_values <= most && size >= 0 && page.uncompressed_page_size <= MOST_BYTES))
      throw new InvalidFileError(
        path,
        `a page of ${quote(meta_data.path_in_schema[0])} claims ${num_values} values in ${size} bytes, expected at most ${most} values; fetch it again`,
      );
    const {
      definition_levels_byte_length: definitions = -1,
      repetition_levels_byte_length: repetitions = -1,
    } = page.data_page_header_v2 ?? { definition_levels_byte_length: 0, repetition_levels_byte_length: 0 };
    if (!(definitions >= 0 && repetitions >= 0 && definitions + repetitions <= size))
      throw new InvalidFileError(
        path,
        `a page of ${quote(meta_data.path_in_schema[0])} does not say where its values begin; fetch it again`,
      );
    reader.offset += size;
  }
}

function checkColumns(path: string, { schema }: FileMetaData, wanted: readonly string[]): void {
  const names = new Set<string>();
  for (let i = 1; i < schema.length; i++) {
    names.add(schema[i].name);
    for (let children = schema[i].num_children ?? 0; children > 0 && i + 1 < schema.length; children--)
      children += schema[++i].num_children ?? 0;
  }
  const missing = wanted.find((name) => !names.has(name));
  if (missing !== undefined)
    throw new InvalidFileError(path, `has no column ${quote(missing)}, expected one of LeRobot's tables`, {
      field: missing,
    });
}

function rowGroupSizes(path: string, { row_groups }: FileMetaData): number[] {
  return row_groups.map(({ num_rows, columns }) => {
    const rows = Number(num_rows);
    if (!(rows >= 0 && rows <= MOST_ROWS))
      throw new InvalidFileError(path, `a row group claims ${num_rows} rows, expected at most ${MOST_ROWS}`);
    for (const { meta_data } of columns) {
      const bytes = Number(meta_data?.total_uncompressed_size ?? 0);
      if (!(bytes >= 0 && bytes <= MOST_BYTES))
        throw new InvalidFileError(path, `a column claims ${bytes} bytes, expected at most ${MOST_BYTES}`);
    }
    return rows;
  });
}
