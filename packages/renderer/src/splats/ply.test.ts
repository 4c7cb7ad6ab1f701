import { bytesSource } from '@dwm/core-tensor/files';
import { expect, test } from 'vitest';
import { compressedPly, inriaPly, randomCloud } from '../../tests/splat-files.ts';
import { readSplats } from './read.ts';

type Encoding = 'ascii' | 'binary_little_endian' | 'binary_big_endian';
const ENCODINGS: Encoding[] = ['ascii', 'binary_little_endian', 'binary_big_endian'];

interface Property {
  /** "float", or "list uchar int". */
  readonly type: string;
  readonly name: string;
  readonly values: (row: number) => number | readonly number[];
}

interface Element {
  readonly name: string;
  readonly rows: number;
  readonly properties: readonly Property[];
}

const WRITERS: Record<
  string,
  [bytes: number, set: (view: DataView, value: number, little: boolean) => void]
> = {
  uchar: [1, (view, value) => view.setUint8(0, value)],
  short: [2, (view, value, little) => view.setInt16(0, value, little)],
  int: [4, (view, value, little) => view.setInt32(0, value, little)],
  uint: [4, (view, value, little) => view.setUint32(0, value, little)],
  float: [4, (view, value, little) => view.setFloat32(0, value, little)],
  double: [8, (view, value, little) => view.setFloat64(0, value, little)],
};

/** From the format's description alone. */
function plyFile(
  encoding: Encoding,
  elements: readonly Element[],
  { end = '\n', comments = [] as readonly string[] } = {},
): Uint8Array {
  const header = ['ply', `format ${encoding} 1.0`, ...comments];
  const body: number[] = [];
  const text = new TextEncoder();
  const put = (type: string, value: number) => {
    const [bytes, set] = WRITERS[type];
    const view = new DataView(new ArrayBuffer(bytes));
    set(view, value, encoding === 'binary_little_endian');
    body.push(...new Uint8Array(view.buffer));
  };
  for (const { name, rows, properties } of elements) {
    header.push(`element ${name} ${rows}`, ...properties.map((p) => `property ${p.type} ${p.name}`));
    for (let row = 0; row < rows; row++) {
      const words: string[] = [];
      for (const { type, values } of properties) {
        const value = values(row);
        const [last, count] = type.split(' ').reverse();
        if (typeof value === 'object') {
          words.push(String(value.length), ...value.map(String));
          if (encoding !== 'ascii') {
            put(count, value.length);
            for (const item of value) put(last, item);
          }
        } else {
          words.push(String(value));
          if (encoding !== 'ascii') put(last, value);
        }
      }
      if (encoding === 'ascii') body.push(...text.encode(`${words.join(' ')}${end}`));
    }
  }
  return Uint8Array.from([...text.encode([...header, 'end_header', ''].join(end)), ...body]);
}

const COUNT = 5;
const names = [
  ...['x', 'y', 'z', 'f_dc_0', 'f_dc_1', 'f_dc_2', 'opacity'],
  ...['scale_0', 'scale_1', 'scale_2', 'rot_0', 'rot_1', 'rot_2', 'rot_3'],
];
/** Exact in float32. */
const value = (row: number, column: number) => (((row * 31 + column * 17) % 64) - 20) / 16;
const splats = (type = 'float'): Property[] =>
  names.map((name, column) => ({ type, name, values: (row) => value(row, column) }));
const vertex = (properties = splats()): Element => ({ name: 'vertex', rows: COUNT, properties });
const faces = (rows: number): Element => ({
  name: 'face',
  rows,
  properties: [
    {
      type: 'list uchar int',
      name: 'vertex_indices',
      values: (row) => Array.from({ length: row % 4 }, (_, i) => i),
    },
    { type: 'uchar', name: 'flags', values: (row) => row },
  ],
});
const cameras: Element = {
  name: 'camera',
  rows: 2,
  properties: [
    { type: 'double', name: 'fx', values: () => 0.5 },
    { type: 'short', name: 'w', values: (row) => row - 1 },
  ],
};
const withList = (): Element => {
  const [first, ...rest] = splats();
  const list: Property = { type: 'list uint float', name: 'extra', values: (row) => Array(row).fill(0.5) };
  return vertex([first, list, ...rest]);
};

async function expectSplats(bytes: Uint8Array): Promise<void> {
  const lines: string[] = [];
  const { count, positions, opacities, scales, rotations, sh } = await readSplats(
    bytesSource('a.ply', bytes),
    {
      warn: (line) => lines.push(line),
    },
  );
  expect([count, lines]).toEqual([COUNT, []]);
  for (let row = 0; row < COUNT; row++) {
    const at = (column: number) => value(row, column);
    expect([...positions.subarray(3 * row, 3 * row + 3)]).toEqual([0, 1, 2].map(at));
    expect([...sh.subarray(3 * row, 3 * row + 3)]).toEqual([3, 4, 5].map(at));
    expect(opacities[row]).toBe(Math.fround(1 / (1 + Math.exp(-at(6)))));
    expect([...scales.subarray(3 * row, 3 * row + 3)]).toEqual(
      [7, 8, 9].map((c) => Math.fround(Math.exp(at(c)))),
    );
    const length = Math.hypot(...[10, 11, 12, 13].map(at));
    expect([...rotations.subarray(4 * row, 4 * row + 4)]).toEqual(
      [10, 11, 12, 13].map((c) => Math.fround(at(c) / length)),
    );
  }
}

const CASES: Record<string, readonly Element[]> = {
  plain: [vertex()],
  doubles: [vertex(splats('double'))],
  'no faces behind': [vertex(), faces(0)],
  'faces behind': [vertex(), faces(7)],
  'faces in front': [faces(7), vertex()],
  'other elements around': [cameras, vertex(), { ...cameras, name: 'more' }, faces(3)],
  'a list in the vertex': [withList(), faces(2)],
  'an element of no properties': [{ name: 'nothing', rows: 0, properties: [] }, vertex()],
};

test.each(ENCODINGS.flatMap((encoding) => Object.keys(CASES).map((name) => [encoding, name] as const)))(
  '%s, %s',
  async (encoding, name) => {
    await expectSplats(plyFile(encoding, CASES[name]));
    const comments = ['comment end_header is not here', 'obj_info element vertex 9', 'comment'];
    await expectSplats(plyFile(encoding, CASES[name], { end: '\r\n', comments }));
  },
);

test('lines of an old Mac, and blank lines and tabs in text', async () => {
  await expectSplats(plyFile('binary_little_endian', [vertex()], { end: '\r' }));
  const text = new TextDecoder().decode(plyFile('ascii', [vertex()]));
  const [header, body] = text.split('end_header\n');
  await expectSplats(
    new TextEncoder().encode(
      `${header}end_header\n\n${body.replaceAll(' ', ' \t').replaceAll('\n', '\n\n')}`,
    ),
  );
  await expectSplats(new TextEncoder().encode(text.trimEnd()));
});

test("text's spellings of no number are damaged splats, other words damage the file", async () => {
  const text = new TextDecoder().decode(plyFile('ascii', [vertex()]));
  const spoil = (word: string) =>
    new TextEncoder().encode(text.replace(/end_header\n\S+/, `end_header\n${word}`));
  for (const word of ['nan', '-NaN', '-nan(ind)', 'inf', '-Infinity', '1.#QNAN', '1.#INF']) {
    const cloud = await readSplats(bytesSource('a.ply', spoil(word)), { warn: () => {} });
    expect(cloud.count, word).toBe(COUNT - 1);
  }
  await expect(readSplats(bytesSource('a.ply', spoil('none')))).rejects.toThrow(
    'a.ply: element vertex, row 0: x is no number',
  );
  await expect(readSplats(bytesSource('a.ply', spoil('1 2')))).rejects.toThrow(
    /row 0: has 15 numbers on its line, expected 14/,
  );
});

test('a compressed PLY with another element in front, and one behind', async () => {
  const cloud = randomCloud(300, 1);
  const plain = compressedPly(cloud);
  const text = Buffer.from(plain).toString('latin1');
  const behind = Buffer.from(
    text.replace('end_header', 'element face 0\nproperty list uchar int vertex_indices\nend_header'),
    'latin1',
  );
  const front = Buffer.from(
    text
      .replace('element chunk', 'element face 2\nproperty list uchar int vertex_indices\nelement chunk')
      .replace('end_header\n', `end_header\n\x01\x05\x00\x00\x00\x00`),
    'latin1',
  );
  const wanted = await readSplats(bytesSource('a.ply', plain));
  for (const bytes of [behind, front]) expect(await readSplats(bytesSource('a.ply', bytes))).toEqual(wanted);
});

test('what is cut inside its lists says so', async () => {
  const bytes = plyFile('binary_big_endian', [withList()]);
  for (const length of [bytes.length - 1, bytes.length - 60])
    await expect(readSplats(bytesSource('a.ply', bytes.subarray(0, length)))).rejects.toThrow(
      /a\.ply: element vertex.*(it was cut|header lies)/,
    );
  const text = plyFile('ascii', [vertex()]);
  await expect(readSplats(bytesSource('a.ply', text.subarray(0, text.length - 150)))).rejects.toThrow(
    /row \d: (\w+ is no number|is not there)|ends at byte/,
  );
  expect((await readSplats(bytesSource('a.ply', inriaPly(randomCloud(9, 0))))).count).toBe(9);
});
