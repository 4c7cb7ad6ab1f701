import { DeviceTensor, evaluate, InvalidArgumentError, parameter } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { describe, expect, test } from 'vitest';
import { stretches } from './stretches.ts';
import { normals } from './testing.ts';
import { assemble, blend, type TileAxis, tileAxis, tileSizes } from './tiling.ts';

const device = await openNodeDevice();

const base = { ratio: 8, sampleHeight: 480, sampleWidth: 720 };
const down = (size: number) => Math.floor(size / 8);
const up = (size: number) => size * 8;

test.each([
  [1, 8, [1]],
  [7, 8, [7]],
  [8, 8, [8]],
  [9, 8, [9]],
  [15, 8, [15]],
  [17, 8, [9, 8]],
  [49, 8, [9, 8, 8, 8, 8, 8]],
  [1, 2, [1]],
  [4, 2, [2, 2]],
  [5, 2, [3, 2]],
  [13, 2, [3, 2, 2, 2, 2, 2]],
])('%i frames by %i', (frames, size, expected) => {
  expect(stretches(frames, size)).toEqual(expected);
});

describe('tiles', () => {
  const { height, width } = tileSizes(base, {});

  test('are half the config size', () => {
    expect(height).toMatchObject({ sample: 240, latent: 30 });
    expect(width).toMatchObject({ sample: 360, latent: 45 });
  });

  test('of 480 x 720, in', () => {
    expect(tileAxis('tileSampleMinHeight', 480, height, 'sample', 'latent', down)).toEqual({
      tiles: [
        { start: 0, size: 240 },
        { start: 200, size: 240 },
        { start: 400, size: 80 },
      ],
      blend: 5,
      used: 25,
      covered: 60,
    });
    expect(tileAxis('tileSampleMinWidth', 720, width, 'sample', 'latent', down)).toEqual({
      tiles: [
        { start: 0, size: 360 },
        { start: 288, size: 360 },
        { start: 576, size: 144 },
      ],
      blend: 9,
      used: 36,
      covered: 90,
    });
  });

  test('of 60 x 90 latents, out', () => {
    expect(tileAxis('tileSampleMinHeight', 60, height, 'latent', 'sample', up)).toEqual({
      tiles: [
        { start: 0, size: 30 },
        { start: 25, size: 30 },
        { start: 50, size: 10 },
      ],
      blend: 40,
      used: 200,
      covered: 480,
    });
    expect(tileAxis('tileSampleMinWidth', 90, width, 'latent', 'sample', up).used).toBe(288);
  });

  test('a dimension of exactly one tile is cut all the same, as the original does', () => {
    const axis = tileAxis('tileSampleMinHeight', 240, height, 'sample', 'latent', down);
    expect(axis.tiles).toEqual([
      { start: 0, size: 240 },
      { start: 200, size: 40 },
    ]);
  });

  test('that do not add up say what becomes of the picture', () => {
    const odd = tileSizes(base, { tileSampleMinHeight: 64 }).height;
    const axis = tileAxis('tileSampleMinHeight', 11, odd, 'latent', 'sample', up);
    expect(axis).toMatchObject({ blend: 10, used: 54, covered: 94 });
    expect(axis.tiles.map(({ start }) => start)).toEqual([0, 6]);
    expect(axis.remark).toMatch(
      /^tileSampleMinHeight: tiles of 64 .*has 94 rows instead of 88, as in the original; use a multiple of 48/,
    );
    const inwards = tileAxis('tileSampleMinHeight', 88, odd, 'sample', 'latent', down);
    expect(inwards.covered).toBe(11);
    expect(inwards.remark).toMatch('11 rows, but those after the first tile are out of place');
  });

  test('that cannot be are refused', () => {
    for (const size of [0, 7, 48.5, Number.NaN]) {
      expect(() => tileSizes(base, { tileSampleMinWidth: size })).toThrow(InvalidArgumentError);
    }
    for (const share of [-0.1, 1, Number.NaN]) {
      expect(() => tileSizes(base, { tileOverlapFactorHeight: share })).toThrow(/a share from 0 to below 1/);
    }
    const { height } = tileSizes(base, { tileSampleMinHeight: 40, tileOverlapFactorHeight: 0.4 });
    expect(() => tileAxis('tileSampleMinHeight', 75, height, 'sample', 'latent', down)).toThrow(
      /leave 3 rows for the last one/,
    );
  });
});

describe('blending', () => {
  const up = (shape: number[], data: Float32Array) => DeviceTensor.from(device, data, shape, 'f32');

  test('fades linearly, over no more than is there', async () => {
    const fade = async (before: number[], tile: number[], most: number) => {
      const [end, begin] = [before, tile].map((x) => up([1, 1, x.length, 1], Float32Array.from(x)));
      const { out } = await evaluate(device, { out: blend(parameter(end), parameter(begin), 2, most) });
      return [...(await out.read())];
    };
    expect(await fade([0, 4, 8], [0, 0], 4)).toEqual([4, 4]);
    expect(await fade([0, 4, 8], [1, 1, 1], 2)).toEqual([4, 4.5, 1]);
    expect(await fade([0, 4, 8], [1, 1], 0)).toEqual([1, 1]);
  });

  const rows: TileAxis = {
    tiles: [
      { start: 0, size: 6 },
      { start: 4, size: 6 },
      { start: 8, size: 3 },
    ],
    blend: 2,
    used: 4,
    covered: 11,
  };
  const columns: TileAxis = {
    tiles: [
      { start: 0, size: 5 },
      { start: 3, size: 4 },
    ],
    blend: 2,
    used: 3,
    covered: 6,
  };
  /** Rows and columns are dimensions 2 and 3, as a video has them. */
  const dims = { rows: 2, columns: 3 };
  const tileShape = (r: number, c: number) => [1, 2, rows.tiles[r].size, columns.tiles[c].size, 3];

  test('tiles of one picture give the picture back', async () => {
    const value = (f: number, y: number, x: number, c: number) => 100 * f + 10 * y + x + c / 4;
    const cut = async (r: number, c: number) => {
      const [, frames, height, width, colours] = tileShape(r, c);
      const data: number[] = [];
      for (let f = 0; f < frames; f++)
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++)
            for (let k = 0; k < colours; k++)
              data.push(value(f, y + rows.tiles[r].start, x + columns.tiles[c].start, k));
      return up(tileShape(r, c), Float32Array.from(data));
    };
    const before = device.memory.allocated;
    const whole = await assemble(device, rows, columns, dims, cut);
    expect(whole.shape).toEqual([1, 2, 11, 6, 3]);
    for (const [i, got] of [...(await whole.read())].entries()) {
      const [f, y, x, k] = [Math.floor(i / 198), Math.floor(i / 18) % 11, Math.floor(i / 3) % 6, i % 3];
      expect(got).toBeCloseTo(value(f, y, x, k), 3);
    }
    whole.destroy();
    expect(device.memory.allocated).toBe(before);
  });

  test('neighbours are the blended ones, rows before columns', async () => {
    const tiles = rows.tiles.map((_, r) =>
      columns.tiles.map((_, c) => {
        const shape = tileShape(r, c);
        return {
          shape,
          data: normals(
            shape.reduce((a, b) => a * b),
            10 * r + c + 1,
          ),
        };
      }),
    );
    // Plain re-statement of the original's loops, element by element, of which only the first frame and colour is
    // looked at.
    const plain = tiles.map((row) =>
      row.map(({ shape: [, , height, width], data }) =>
        Array.from({ length: height }, (_, y) =>
          Array.from({ length: width }, (_, x) => data[(y * width + x) * 3]),
        ),
      ),
    );
    for (const [r, row] of plain.entries()) {
      for (const [c, tile] of row.entries()) {
        if (r > 0) {
          const above = plain[r - 1][c];
          const extent = Math.min(above.length, tile.length, 2);
          for (let y = 0; y < extent; y++) {
            tile[y] = tile[y].map(
              (value, x) => (above[above.length - extent + y][x] * (extent - y) + value * y) / extent,
            );
          }
        }
        if (c > 0) {
          const left = row[c - 1];
          const extent = Math.min(left[0].length, tile[0].length, 2);
          for (const [y, line] of tile.entries()) {
            for (let x = 0; x < extent; x++) {
              line[x] = (left[y][left[y].length - extent + x] * (extent - x) + line[x] * x) / extent;
            }
          }
        }
      }
    }
    const expected = plain.flatMap((row) =>
      row[0].slice(0, 4).map((_, y) => row.flatMap((tile) => tile[y].slice(0, 3))),
    );
    const whole = await assemble(device, rows, columns, dims, async (r, c) =>
      up(tiles[r][c].shape, tiles[r][c].data),
    );
    const got = await whole.read();
    for (const [y, line] of expected.entries()) {
      for (const [x, value] of line.entries()) expect(got[(y * 6 + x) * 3]).toBeCloseTo(value, 5);
    }
  });
});
