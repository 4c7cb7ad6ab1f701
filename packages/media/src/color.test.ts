import { seeded } from '@dwm/core-tensor/testing';
import { expect, test } from 'vitest';
import { i420Bytes, rgbToI420, type YuvMatrix, type YuvPlanes, yuvToRgb } from './color.ts';

// The decoding coefficients as the recommendations print them: R from Cr, G from Cb and Cr, B from Cb.
const published: Record<YuvMatrix, [number, number, number, number]> = {
  bt601: [1.402, -0.344136, -0.714136, 1.772],
  bt709: [1.5748, -0.187324, -0.468124, 1.8556],
  bt2020: [1.4746, -0.164553, -0.571353, 1.8814],
};

function reference(y: number, u: number, v: number, matrix: YuvMatrix, fullRange: boolean, depth: number) {
  const unit = 2 ** (depth - 8);
  const top = 2 ** depth - 1;
  const light = fullRange ? y / top : (y / unit - 16) / 219;
  const cb = fullRange ? (u - 128 * unit) / top : (u / unit - 128) / 224;
  const cr = fullRange ? (v - 128 * unit) / top : (v / unit - 128) / 224;
  const [rv, gu, gv, bu] = published[matrix];
  return [light + rv * cr, light + gu * cb + gv * cr, light + bu * cb].map((value) =>
    Math.min(255, Math.max(0, 255 * value)),
  );
}

function randomPlanes(height: number, width: number, shiftX: 0 | 1, shiftY: 0 | 1, depth: number): YuvPlanes {
  const random = seeded(height * 1000 + width + depth);
  const make = (length: number) => {
    const plane = depth > 8 ? new Uint16Array(length) : new Uint8Array(length);
    return plane.map(() => Math.floor(random() * 2 ** depth));
  };
  const chromaWidth = (width + shiftX) >> shiftX;
  const chromaHeight = (height + shiftY) >> shiftY;
  return {
    y: make(height * (width + 3)),
    u: make(chromaHeight * (chromaWidth + 1)),
    v: make(chromaHeight * (chromaWidth + 2)),
    yStride: width + 3,
    uStride: chromaWidth + 1,
    vStride: chromaWidth + 2,
    step: 1,
    shiftX,
    shiftY,
    bitDepth: depth,
  };
}

for (const matrix of ['bt601', 'bt709', 'bt2020'] as const) {
  for (const fullRange of [false, true]) {
    for (const [shiftX, shiftY, depth] of [
      [1, 1, 8],
      [1, 0, 8],
      [0, 0, 8],
      [1, 1, 10],
    ] as const) {
      test(`${matrix} ${fullRange ? 'full' : 'limited'} 4:${shiftX ? 2 : 4}:${shiftY ? 0 : shiftX ? 2 : 4} ${depth} bit is the float64 formula, rounded`, () => {
        const height = 37;
        const width = 53;
        const planes = randomPlanes(height, width, shiftX, shiftY, depth);
        const out = new Uint8Array(height * width * 3);
        yuvToRgb(planes, height, width, { matrix, fullRange }, out);
        let worst = 0;
        for (let row = 0; row < height; row++) {
          for (let column = 0; column < width; column++) {
            const expected = reference(
              planes.y[row * planes.yStride + column],
              planes.u[(row >> shiftY) * planes.uStride + (column >> shiftX)],
              planes.v[(row >> shiftY) * planes.vStride + (column >> shiftX)],
              matrix,
              fullRange,
              depth,
            );
            for (let c = 0; c < 3; c++) {
              worst = Math.max(worst, Math.abs(out[(row * width + column) * 3 + c] - expected[c]));
            }
          }
        }
        expect(worst).toBeLessThanOrEqual(0.5 + 1e-3); // the printed coefficients have six digits
      });
    }
  }
}

test('black, white and grey codes', () => {
  const codes = Uint8Array.of(16, 235, 126, 0, 255);
  const grey = new Uint8Array(5).fill(128);
  const planes: YuvPlanes = {
    y: codes,
    u: grey,
    v: grey,
    yStride: 5,
    uStride: 5,
    vStride: 5,
    step: 1,
    shiftX: 0,
    shiftY: 0,
    bitDepth: 8,
  };
  const out = new Uint8Array(15);
  yuvToRgb(planes, 1, 5, { matrix: 'bt601', fullRange: false }, out);
  expect([0, 3, 6, 9, 12].map((i) => out[i])).toEqual([0, 255, 128, 0, 255]);
  yuvToRgb(planes, 1, 5, { matrix: 'bt601', fullRange: true }, out);
  expect([0, 3, 6, 9, 12].map((i) => out[i])).toEqual([16, 235, 126, 0, 255]);
});

test('rgbToI420 is the printed BT.601 encoding of 2x2 means, odd sizes repeat the edge', () => {
  const height = 5;
  const width = 7;
  const random = seeded(7);
  const rgb = new Uint8Array(height * width * 3).map(() => Math.floor(random() * 256));
  const out = new Uint8Array(i420Bytes(6, 8));
  rgbToI420(rgb, height, width, out);
  const pixel = (row: number, column: number) => {
    const i = (Math.min(row, 4) * width + Math.min(column, 6)) * 3;
    return [rgb[i], rgb[i + 1], rgb[i + 2]].map((value) => value / 255);
  };
  for (let row = 0; row < 6; row++) {
    for (let column = 0; column < 8; column++) {
      const [r, g, b] = pixel(row, column);
      const y = 16 + 65.481 * r + 128.553 * g + 24.966 * b;
      expect(Math.abs(out[row * 8 + column] - y)).toBeLessThanOrEqual(0.501);
    }
  }
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 4; column++) {
      const block = [0, 1, 2, 3].map((k) => pixel(row * 2 + (k >> 1), column * 2 + (k & 1)));
      const [r, g, b] = [0, 1, 2].map((c) => block.reduce((sum, p) => sum + p[c], 0) / 4);
      const cb = 128 - 37.797 * r - 74.203 * g + 112 * b;
      const cr = 128 + 112 * r - 93.786 * g - 18.214 * b;
      expect(Math.abs(out[48 + row * 4 + column] - cb)).toBeLessThanOrEqual(0.501);
      expect(Math.abs(out[60 + row * 4 + column] - cr)).toBeLessThanOrEqual(0.501);
    }
  }
});
