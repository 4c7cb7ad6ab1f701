import { VideoSample, type VideoSampleInit } from 'mediabunny';
import { expect, test } from 'vitest';
import { orient, SampleReader, uprightSize, yuvSpaceOf } from './pixels.ts';

const height = 4;
const width = 6;

async function read(
  format: VideoSampleInit['format'],
  data: Uint8Array,
  init: Partial<VideoSampleInit> = {},
) {
  const sample = new VideoSample(Uint8Array.from(data), {
    format: format!,
    codedWidth: width,
    codedHeight: height,
    timestamp: 0,
    ...init,
  });
  const size = uprightSize(sample);
  const out = new Uint8Array(size.height * size.width * 3);
  await new SampleReader({}).rgb(sample, out);
  sample.close();
  return { ...size, out };
}

const luma = Uint8Array.from({ length: 24 }, (_, i) => 40 + 7 * i);
const cb = Uint8Array.of(90, 120, 150, 100, 130, 160);
const cr = Uint8Array.of(160, 140, 110, 170, 128, 100);

test('NV12, I422, I444 and 10-bit planes give what I420 gives', async () => {
  const { out } = await read('I420', Uint8Array.of(...luma, ...cb, ...cr));
  const interleaved = [...cb].flatMap((u, i) => [u, cr[i]]);
  expect((await read('NV12', Uint8Array.of(...luma, ...interleaved))).out).toEqual(out);

  const at = (plane: Uint8Array, row: number, column: number) => plane[(row >> 1) * 3 + (column >> 1)];
  const rows = [0, 1, 2, 3];
  const half = (plane: Uint8Array) =>
    rows.flatMap((row) => [0, 2, 4].map((column) => at(plane, row, column)));
  expect((await read('I422', Uint8Array.of(...luma, ...half(cb), ...half(cr)))).out).toEqual(out);

  const full = (plane: Uint8Array) =>
    rows.flatMap((row) => [0, 1, 2, 3, 4, 5].map((column) => at(plane, row, column)));
  expect((await read('I444', Uint8Array.of(...luma, ...full(cb), ...full(cr)))).out).toEqual(out);

  const wide = Uint16Array.from([...luma, ...cb, ...cr], (code) => code * 4);
  expect((await read('I420P10', new Uint8Array(wide.buffer))).out).toEqual(out);
});

test('packed formats are copied, red first or blue first', async () => {
  const rgba = Uint8Array.from({ length: 96 }, (_, i) => (i * 29) % 256);
  const expected = rgba.filter((_, i) => i % 4 !== 3);
  expect((await read('RGBX', rgba)).out).toEqual(expected);
  const bgra = rgba.map((_, i) => rgba[i % 4 === 0 ? i + 2 : i % 4 === 2 ? i - 2 : i]);
  expect((await read('BGRA', bgra)).out).toEqual(expected);
});

test('orient turns clockwise, then mirrors', () => {
  // a b c
  // d e f
  const image = { data: Uint8Array.from('abcdef', (ch) => ch.charCodeAt(0)), height: 2, width: 3 };
  const rgb = { ...image, data: Uint8Array.from([...image.data].flatMap((value) => [value, value, value])) };
  const turned = (rotation: number, flip: boolean) => {
    const out = new Uint8Array(18);
    orient(rgb, rotation, flip, out);
    return String.fromCharCode(...out.filter((_, i) => i % 3 === 0));
  };
  expect(turned(0, false)).toBe('abcdef');
  expect(turned(90, false)).toBe('daebfc');
  expect(turned(180, false)).toBe('fedcba');
  expect(turned(270, false)).toBe('cfbead');
  expect(turned(0, true)).toBe('cbafed');
  expect(turned(90, true)).toBe('adbecf');
});

test('a rotated sample comes out upright', async () => {
  const rgba = Uint8Array.from({ length: 96 }, (_, i) => (i * 29) % 256);
  const plain = (await read('RGBX', rgba)).out;
  const { out, height: h, width: w } = await read('RGBX', rgba, { rotation: 90 });
  expect([h, w]).toEqual([width, height]);
  expect([...out.subarray(0, 3)]).toEqual([...plain.subarray(3 * width * 3, 3 * width * 3 + 3)]);
});

test('tags', () => {
  expect(yuvSpaceOf({})).toEqual({ matrix: 'bt601', fullRange: false });
  expect(yuvSpaceOf({ matrix: 'bt709', fullRange: true })).toEqual({ matrix: 'bt709', fullRange: true });
  expect(() => yuvSpaceOf({ matrix: 'rgb' })).toThrow(/colour matrix rgb is not read/);
});
