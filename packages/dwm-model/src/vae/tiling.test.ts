import { InvalidArgumentError } from '@dwm/core-tensor';
import { describe, expect, test } from 'vitest';
import { type Clip, type ClipShape, clipSize, copyBox, emptyClip } from './clip.ts';
import { stretches } from './stretches.ts';
import { normals } from './testing.ts';
import { assemble, blend, type TileAxis, tileAxis, tileSizes } from './tiling.ts';

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
  const random = (shape: ClipShape, seed: number): Clip => ({ shape, data: normals(clipSize(shape), seed) });

  test('fades linearly, over no more than is there', () => {
    const before: Clip = { shape: [1, 1, 1, 1, 3], data: Float32Array.of(0, 4, 8) };
    const tile: Clip = { shape: [1, 1, 1, 1, 2], data: Float32Array.of(0, 0) };
    blend(before, tile, 'columns', 4);
    expect([...tile.data]).toEqual([4, 4]);
    const rows: Clip = { shape: [1, 1, 1, 3, 1], data: Float32Array.of(1, 1, 1) };
    blend({ shape: [1, 1, 1, 3, 1], data: Float32Array.of(0, 4, 8) }, rows, 'rows', 2);
    expect([...rows.data]).toEqual([4, 4.5, 1]);
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
  const tileShape = (r: number, c: number): ClipShape => [2, 1, 2, rows.tiles[r].size, columns.tiles[c].size];

  test('tiles of one picture give the picture back', async () => {
    const picture = random([2, 1, 2, 11, 7], 1);
    const cut = async (r: number, c: number) => {
      const tile = emptyClip(tileShape(r, c));
      const [, , frames, height, width] = tile.shape;
      const box = { frame: 0, frames, top: rows.tiles[r].start, height, left: columns.tiles[c].start, width };
      copyBox(picture, box, tile, { frame: 0, top: 0, left: 0 });
      return tile;
    };
    const whole = await assemble(rows, columns, cut);
    const expected = emptyClip([2, 1, 2, 11, 6]);
    copyBox(picture, { frame: 0, frames: 2, top: 0, height: 11, left: 0, width: 6 }, expected, {
      frame: 0,
      top: 0,
      left: 0,
    });
    for (const [i, value] of whole.data.entries()) expect(value).toBeCloseTo(expected.data[i], 5);
  });

  test('neighbours are the blended ones, rows before columns', async () => {
    const tiles = rows.tiles.map((_, r) =>
      columns.tiles.map((_, c) => random(tileShape(r, c), 10 * r + c + 1)),
    );
    // Plain re-statement of the original's loops, element by element, of which only [0, 0, 0] is looked at.
    const plain = tiles.map((row) =>
      row.map(({ shape: [, , , height, width], data }) =>
        Array.from({ length: height }, (_, y) => [...data.subarray(y * width, (y + 1) * width)]),
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
    const whole = await assemble(rows, columns, async (r, c) => ({
      shape: tiles[r][c].shape,
      data: tiles[r][c].data.slice(),
    }));
    for (const [y, line] of expected.entries()) {
      for (const [x, value] of line.entries()) expect(whole.data[y * 6 + x]).toBeCloseTo(value, 5);
    }
  });
});
