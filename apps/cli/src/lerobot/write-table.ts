/** Tables as parquet files: whole numbers, floats, words, and lists of them. */
import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SchemaElement } from 'hyparquet';
import { parquetWriteFile } from 'hyparquet-writer';

const TYPES = {
  int64: { type: 'INT64' },
  float32: { type: 'FLOAT' },
  float64: { type: 'DOUBLE' },
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
} as const;

/** A column: a value a row, or, `lists` deep, lists of values. */
export interface TableColumn {
  readonly name: string;
  readonly type: keyof typeof TYPES;
  readonly lists?: number;
  readonly data: readonly unknown[];
}

/** The whole file or none. @param metadata keys and values beside the columns. */
export async function writeTable(
  path: string,
  columns: readonly TableColumn[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  parquetWriteFile({
    filename: part,
    schema: [
      { name: 'schema', num_children: columns.length },
      ...columns.flatMap(({ name, type, lists = 0 }) => schemaOf(name, type, lists)),
    ],
    columnData: columns.map(({ name, type, data }) => ({
      name,
      data: type === 'int64' ? data.map(whole) : [...data],
    })),
    kvMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
  await rename(part, path);
}

function schemaOf(name: string, type: TableColumn['type'], lists: number): SchemaElement[] {
  if (lists === 0) return [{ name, repetition_type: 'OPTIONAL', ...TYPES[type] }];
  return [
    { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    ...schemaOf('element', type, lists - 1),
  ];
}

const whole = (value: unknown): unknown => (Array.isArray(value) ? value.map(whole) : BigInt(Number(value)));
