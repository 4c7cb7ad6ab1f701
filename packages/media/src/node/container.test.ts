import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { yuvToRgb } from '../color.ts';
import { checkMatroska } from '../container/matroska.ts';
import { readMp4 } from '../container/mp4.ts';
import { sniff } from '../container/sniff.ts';
import { blobOf, movingGradient, WIDE_WEBM } from '../testing.ts';
import { decodeFrames, encodeVideo, readVideo, videoInfo } from './index.ts';

/**
 * One frame each, lossless VP9 4:2:0 by FFmpeg: luma 60 + (7 x + 3 y) mod 120, and of the chroma samples
 * Cb 100 + (3 x^2 + 11 y) mod 50, Cr 100 + (5 x + 7 y^2) mod 50.
 */
const oddSizes = {
  '13x9':
    'GkXfo59ChoEBQveBAULygQRC84EIQoKEd2VibUKHgQJChYECGFOAZwEAAAAAAAIcEU2bdLpNu4tTq4QVSalmU6yBoU27i1OrhBZU' +
    'rmtTrIHGTbuMU6uEElTDZ1OsggEMTbuMU6uEHFO7a1OsggIG7AEAAAAAAABZAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' +
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVSalmoCrXsYMPQkBNgIRM' +
    'YXZmV0GETGF2ZkSJiEBZAAAAAAAAFlSua8GuAQAAAAAAADjXgQFzxYgAAAAAAAAAAZyBACK1nIN1bmSIgQCGhVZfVlA5g4EBI+OD' +
    'hAX14QDgibCBDbqBCZqBAhJUw2fVc3PSY8CLY8WIAAAAAAAAAAFnyJxFo4dFTkNPREVSRIePTGF2YyBsaWJ2cHgtdnA5Z8iiRaOI' +
    'RFVSQVRJT05Eh5QwMDowMDowMC4xMDAwMDAwMDAAAB9DtnVAmueBAKNAlIEAAICCSYNCAADAAIYAOCQcGAAAACAAAHn4OP///0W+' +
    'H9KH9ff/Nr//4b+/u9f/Np0QD//9e8xlDsIXA/Y6If7t+4TP//+oGdK9T34f/vUX//hv7+71/82v+FQbf/jJUTFKnTdP/17f//vd' +
    '7/Vb/Jtx2H7oVT/7BMIoJxyuJHe/4Kazv9TN1kH93zbmf/6U/wWQ9AAcU7trkbuPs4EAt4r3gQHxggFm8IED',
  '13x8':
    'GkXfo59ChoEBQveBAULygQRC84EIQoKEd2VibUKHgQJChYECGFOAZwEAAAAAAAIFEU2bdLpNu4tTq4QVSalmU6yBoU27i1OrhBZU' +
    'rmtTrIHGTbuMU6uEElTDZ1OsggEMTbuMU6uEHFO7a1OsggHv7AEAAAAAAABZAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' +
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVSalmoCrXsYMPQkBNgIRM' +
    'YXZmV0GETGF2ZkSJiEBZAAAAAAAAFlSua8GuAQAAAAAAADjXgQFzxYgAAAAAAAAAAZyBACK1nIN1bmSIgQCGhVZfVlA5g4EBI+OD' +
    'hAX14QDgibCBDbqBCJqBAhJUw2fVc3PSY8CLY8WIAAAAAAAAAAFnyJxFo4dFTkNPREVSRIePTGF2YyBsaWJ2cHgtdnA5Z8iiRaOI' +
    'RFVSQVRJT05Eh5QwMDowMDowMC4xMDAwMDAwMDAAAB9DtnVAg+eBAKP+gQAAgIJJg0IAAMAAdgA4JBwYAAAAIAAAbftp///+i3w/' +
    'pQ/r7/5tf//Df393r/5tOiAf//r3mModhC4H7HRD/dv3CZ///1AzpXqe/D/96i//8N/f3ev/m1/wqDb/8ZKiYpU6bp/+vb//97vf' +
    '6rf5NuOw/dCqf/YJhFBOOVwgHFO7a5G7j7OBALeK94EB8YIBZvCBAw==',
  '12x9':
    'GkXfo59ChoEBQveBAULygQRC84EIQoKEd2VibUKHgQJChYECGFOAZwEAAAAAAAIOEU2bdLpNu4tTq4QVSalmU6yBoU27i1OrhBZU' +
    'rmtTrIHGTbuMU6uEElTDZ1OsggEMTbuMU6uEHFO7a1OsggH47AEAAAAAAABZAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' +
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVSalmoCrXsYMPQkBNgIRM' +
    'YXZmV0GETGF2ZkSJiEBZAAAAAAAAFlSua8GuAQAAAAAAADjXgQFzxYgAAAAAAAAAAZyBACK1nIN1bmSIgQCGhVZfVlA5g4EBI+OD' +
    'hAX14QDgibCBDLqBCZqBAhJUw2fVc3PSY8CLY8WIAAAAAAAAAAFnyJxFo4dFTkNPREVSRIePTGF2YyBsaWJ2cHgtdnA5Z8iiRaOI' +
    'RFVSQVRJT05Eh5QwMDowMDowMC4xMDAwMDAwMDAAAB9DtnVAjOeBAKNAhoEAAICCSYNCAACwAIYAOCQcGAAAACAAAHn4OP///0W+' +
    'H9KH9ff/Nr//4b+/u9f/Np0QD//9e8xlDsIXA/Y6If7t+4TP//+oGdK9T34f/vYz//w39/d6/+XXM5rDwRwkP1DI/7Pp/VbXmvXu' +
    'd8mpP/sEwignHK4kd7/gprO/1M3WQf3fOUaAHFO7a5G7j7OBALeK94EB8YIBZvCBAw==',
};
/**
 * 13x9 in full range, likewise: luma 5 + (19 x + 23 y) mod 246, Cb 40 + 20 x + 6 y, Cr 220 - 24 x - 9 y. The decoder's
 * own RGB of it is at its bounds in most places.
 */
const oddFullRange =
  'GkXfo59ChoEBQveBAULygQRC84EIQoKEd2VibUKHgQJChYECGFOAZwEAAAAAAAKCEU2bdLpNu4tTq4QVSalmU6yBoU27i1OrhBZUrmtT' +
  'rIHGTbuMU6uEElTDZ1OsggEXTbuMU6uEHFO7a1OsggJs7AEAAAAAAABZAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' +
  'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVSalmoCrXsYMPQkBNgIRMYXZmV0GETGF2' +
  'ZkSJiEBfQAAAAAAAFlSua8yuAQAAAAAAAEPXgQFzxYgAAAAAAAAAAZyBACK1nIN1bmSIgQCGhVZfVlA5g4EBI+ODhAdzWUDglLCBDbqB' +
  'CZqBAlWwiFWxgQZVuYECElTDZ9Vzc9JjwItjxYgAAAAAAAAAAWfInEWjh0VOQ09ERVJEh49MYXZjIGxpYnZweC12cDlnyKJFo4hEVVJB' +
  'VElPTkSHlDAwOjAwOjAwLjEyNTAwMDAwMAAAH0O2dUD154EAo0DvgQAAgIJJg0JwAMAAhgA4JBwYAAAAIAAAfHkQD///7Qb7LHsm07//' +
  '/kY///m3P//yWB+UbDv//m3P/TeGzd+z//Wf+ry/B2n0VQ4A/+KM7Ufx1PWYJOcb0mR//S5f////MBnHECQn//rkf//1IX////AxXnye' +
  'iH///vr///nKDZPaf/Ufn/nQf85J91fn/kkowVz/MQ72ET9Z99+O3//8Ib8zmH/lrG9M2P/2EDL7xkij9WHDTHUdHWrrDvH0Qv////Fg' +
  'rjqJRO7////1B/87CDi+2NAM//60M///caKfNaBP//zU0//bof//4vg1IAAcU7trkbuPs4EAt4r3gQHxggFx8IED';
/** 16x16, two frames, pixels of 3:4, said by a pasp box and within H.264. */
const tall =
  'AAAAIGZ0eXBpc29tAAACAGlzb21pc28yYXZjMW1wNDEAAAMQbW9vdgAAAGxtdmhkAAAAAAAAAAAAAAAAAAAD6AAAAMgAAQAAAQAA' +
  'AAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAA' +
  'Al90cmFrAAAAXHRraGQAAAADAAAAAAAAAAAAAAABAAAAAAAAAMgAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAABAAAA' +
  'AAAAAAAAAAAAAABAAAAAAAwAAAAQAAAAAAAkZWR0cwAAABxlbHN0AAAAAAAAAAEAAADIAAAAAAABAAAAAAHXbWRpYQAAACBtZGhk' +
  'AAAAAAAAAAAAAAAAAAAoAAAACABVxAAAAAAALWhkbHIAAAAAAAAAAHZpZGUAAAAAAAAAAAAAAABWaWRlb0hhbmRsZXIAAAABgm1p' +
  'bmYAAAAUdm1oZAAAAAEAAAAAAAAAAAAAACRkaW5mAAAAHGRyZWYAAAAAAAAAAQAAAAx1cmwgAAAAAQAAAUJzdGJsAAAAwnN0c2QA' +
  'AAAAAAAAAQAAALJhdmMxAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAABAAEABIAAAASAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA' +
  'AAAAAAAAAAAAAAAAAAAAGP//AAAAOGF2Y0MBZAAK/+EAG2dkAAqssj3/gAGAAggAAAMACAAAAwCgeJEyQAEABmjrw8siwP34+AAA' +
  'AAAQcGFzcAAAAAMAAAAEAAAAFGJ0cnQAAAAAAABuAAAAbgAAAAAYc3R0cwAAAAAAAAABAAAAAgAABAAAAAAUc3RzcwAAAAAAAAAB' +
  'AAAAAQAAABxzdHNjAAAAAAAAAAEAAAABAAAAAgAAAAEAAAAcc3RzegAAAAAAAAAAAAAAAgAAArUAAAALAAAAFHN0Y28AAAAAAAAA' +
  'AQAAA0AAAAA9dWR0YQAAADVtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABtZGlyYXBwbAAAAAAAAAAAAAAAAAhpbHN0AAAACGZyZWUA' +
  'AALIbWRhdAAAABtnZAAKrLI9/4ABgAIIAAADAAgAAAMAoHiRMkAAAAAGaOvDyyLAAAACcQYF//9t3EXpvebZSLeWLNgg2SPu73gy' +
  'NjQgLSBjb3JlIDE2NCByMzA5NSBiYWVlNDAwIC0gSC4yNjQvTVBFRy00IEFWQyBjb2RlYyAtIENvcHlsZWZ0IDIwMDMtMjAyMiAt' +
  'IGh0dHA6Ly93d3cudmlkZW9sYW4ub3JnL3gyNjQuaHRtbCAtIG9wdGlvbnM6IGNhYmFjPTEgcmVmPTMgZGVibG9jaz0xOjA6MCBh' +
  'bmFseXNlPTB4MzoweDExMyBtZT1oZXggc3VibWU9NyBwc3k9MSBwc3lfcmQ9MS4wMDowLjAwIG1peGVkX3JlZj0xIG1lX3Jhbmdl' +
  'PTE2IGNocm9tYV9tZT0xIHRyZWxsaXM9MSA4eDhkY3Q9MSBjcW09MCBkZWFkem9uZT0yMSwxMSBmYXN0X3Bza2lwPTEgY2hyb21h' +
  'X3FwX29mZnNldD0tMiB0aHJlYWRzPTEgbG9va2FoZWFkX3RocmVhZHM9MSBzbGljZWRfdGhyZWFkcz0wIG5yPTAgZGVjaW1hdGU9' +
  'MSBpbnRlcmxhY2VkPTAgYmx1cmF5X2NvbXBhdD0wIGNvbnN0cmFpbmVkX2ludHJhPTAgYmZyYW1lcz0wIHdlaWdodHA9MiBrZXlp' +
  'bnQ9MjUwIGtleWludF9taW49MTAgc2NlbmVjdXQ9NDAgaW50cmFfcmVmcmVzaD0wIHJjX2xvb2thaGVhZD00MCByYz1jcmYgbWJ0' +
  'cmVlPTEgY3JmPTIzLjAgcWNvbXA9MC42MCBxcG1pbj0wIHFwbWF4PTY5IHFwc3RlcD00IGlwX3JhdGlvPTEuNDAgYXE9MToxLjAw' +
  'AIAAAAATZYiEDv/+46v4FM0zgcsrMT0W9QAAAAdBmjsQ3/7g';
const file = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));

interface BoxAt {
  at: number;
  size: number;
}

/** Where a box lies, by the names of the boxes around it. */
function find(mp4: Buffer, path: string[], from = 0, to = mp4.length): BoxAt | undefined {
  for (let at = from; at + 8 <= to; at += mp4.readUInt32BE(at)) {
    const size = mp4.readUInt32BE(at);
    if (mp4.toString('latin1', at + 4, at + 8) !== path[0]) continue;
    return path.length === 1 ? { at, size } : find(mp4, path.slice(1), at + 8, at + size);
  }
  return undefined;
}

function box(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body]);
}

const words = (...values: number[]) => {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, i * 4);
  return bytes;
};

/** A copy with `bytes` at the end of the box at `path`. */
function inserted(mp4: Uint8Array, path: string[], bytes: Buffer): Buffer {
  const copy = Buffer.from(mp4);
  for (let i = 1; i <= path.length; i++) {
    const { at, size } = find(Buffer.from(mp4), path.slice(0, i))!;
    copy.writeUInt32BE(size + bytes.length, at);
  }
  const stco = find(copy, ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stco'])!;
  for (let i = 0; i < copy.readUInt32BE(stco.at + 12); i++) {
    const entry = stco.at + 16 + 4 * i;
    copy.writeUInt32BE(copy.readUInt32BE(entry) + bytes.length, entry);
  }
  const { at, size } = find(Buffer.from(mp4), path)!;
  return Buffer.concat([copy.subarray(0, at + size), bytes, copy.subarray(at + size)]);
}

type Part = [seconds: number, mediaSeconds: number, rate?: number];

const plainClip = encodeVideo(movingGradient(30, 16, 16, 10));

/** A 10 fps clip of 30 frames with an edit list; a media time of -1 is a pause. */
async function edited(parts: Part[]): Promise<Uint8Array> {
  const clip = await plainClip;
  const mp4 = Buffer.from(clip);
  const timescale = mp4.readUInt32BE(find(mp4, ['moov', 'trak', 'mdia', 'mdhd'])!.at + 20);
  const movie = mp4.readUInt32BE(find(mp4, ['moov', 'mvhd'])!.at + 20);
  const rows = parts.flatMap(([seconds, media, rate = 1]) => [
    Math.round(seconds * movie),
    media < 0 ? -1 : Math.round(media * timescale),
    rate * 65536,
  ]);
  const edts = box('edts', box('elst', words(0, parts.length, ...rows)));
  return inserted(clip, ['moov', 'trak'], edts);
}

test.each<{
  name: string;
  parts: Part[];
  frames: number[];
  first?: number;
  gap?: [frame: number, seconds: number];
}>([
  { name: 'an end', parts: [[1.55, 0]], frames: span(0, 16) },
  { name: 'a beginning', parts: [[2.2, 0.8]], frames: span(8, 30) },
  { name: 'both', parts: [[1, 0.5]], frames: span(5, 15) },
  {
    name: 'a pause before',
    parts: [
      [0.5, -1],
      [3, 0],
    ],
    frames: span(0, 30),
    first: 0.5,
  },
  {
    name: 'a pause, and an end',
    parts: [
      [0.7, -1],
      [1.5, 0.1],
    ],
    frames: span(1, 16),
    first: 0.7,
  },
  {
    name: 'two parts',
    parts: [
      [0.5, 0],
      [0.7, 2],
    ],
    frames: [...span(0, 5), ...span(20, 27)],
  },
  {
    name: 'two parts with a pause',
    parts: [
      [0.5, 0],
      [0.3, -1],
      [0.7, 1],
    ],
    frames: [...span(0, 5), ...span(10, 17)],
    gap: [5, 0.8],
  },
  {
    name: 'a later part first',
    parts: [
      [1, 2],
      [1, 0],
    ],
    frames: [...span(20, 30), ...span(0, 10)],
  },
  {
    name: 'a part three times',
    parts: [
      [0.5, 0],
      [0.5, 0],
      [0.5, 0],
    ],
    frames: [...span(0, 5), ...span(0, 5), ...span(0, 5)],
  },
  { name: 'more than there is', parts: [[9, 2]], frames: span(20, 30) },
  { name: 'no end', parts: [[0, 1]], frames: span(10, 30) },
])('an edit list with $name', async ({ parts, frames, first = 0, gap }) => {
  const all = await readVideo(blobOf(await edited([[3, 0]])));
  const video = blobOf(await edited(parts));
  const info = await videoInfo(video);
  expect(info.frames).toBe(frames.length);
  expect(info.timestamps[0]).toBeCloseTo(first, 2);
  if (gap) expect(info.timestamps[gap[0]]).toBeCloseTo(gap[1], 2);
  const clip = await readVideo(video);
  const bytes = 16 * 16 * 3;
  frames.forEach((frame, i) => {
    const got = clip.data.subarray(i * bytes, (i + 1) * bytes);
    expect(Buffer.compare(got, all.data.subarray(frame * bytes, (frame + 1) * bytes)), `frame ${i}`).toBe(0);
  });
});

function span(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

test('an edit list of a QuickTime file, which has a second handler beside its samples', async () => {
  const dataHandler = box('hdlr', words(0), Buffer.from('dhlrurl '), words(0, 0, 0));
  const video = inserted(await edited([[1.55, 0]]), ['moov', 'trak', 'mdia', 'minf'], dataHandler);
  expect((await videoInfo(blobOf(video))).frames).toBe(16);
});

test('parts at another speed, and lists that show nothing, are named', async () => {
  const fast = new File([Uint8Array.from(await edited([[1, 0, 2]]))], 'fast.mp4');
  await expect(videoInfo(fast)).rejects.toThrow(
    /^fast\.mp4: its edit list plays a part at 2 times the speed.*convert it/,
  );
  const none = new File([Uint8Array.from(await edited([[1, -1]]))], 'none.mp4');
  await expect(videoInfo(none)).rejects.toThrow(/holds no video frames that its edit list shows/);
});

type Code = (x: number, y: number) => number;

/** Largest errors of a picture of 4:2:0 that is made of these codes: inside, and in the last row and column. */
async function oddErrors(base64: string, [width, height]: number[], codes: Code[], fullRange: boolean) {
  const [across, down] = [(width + 1) >> 1, (height + 1) >> 1];
  const [y, u, v] = codes.map((code, i) => {
    const w = i === 0 ? width : across;
    const h = i === 0 ? height : down;
    return Uint8Array.from({ length: w * h }, (_, at) => code(at % w, Math.floor(at / w)));
  });
  const strides = { yStride: width, uStride: across, vStride: across };
  const expected = new Uint8Array(height * width * 3);
  const layout = { step: 1, shiftX: 1, shiftY: 1, bitDepth: 8 } as const;
  yuvToRgb({ y, u, v, ...strides, ...layout }, height, width, { matrix: 'bt601', fullRange }, expected);
  const clip = await readVideo(blobOf(file(base64)));
  expect([clip.width, clip.height]).toEqual([width, height]);
  const off = clip.data.map((value, i) => Math.abs(value - expected[i]));
  const inside = off.filter((_, i) => (i / 3) % width < width - 1 && i / 3 < width * (height - 1));
  return { inside: Math.max(...inside), edge: Math.max(...off) };
}

test.each(Object.entries(oddSizes))('all chroma of %s is there', async (size, base64) => {
  const codes: Code[] = [
    (x, y) => 60 + ((7 * x + 3 * y) % 120),
    (x, y) => 100 + ((3 * x * x + 11 * y) % 50),
    (x, y) => 100 + ((5 * x + 7 * y * y) % 50),
  ];
  const { inside, edge } = await oddErrors(base64, size.split('x').map(Number), codes, false);
  expect(inside).toBe(0);
  expect(edge).toBeLessThan(4);
});

test('all chroma of an odd size in full range is there', async () => {
  const codes: Code[] = [
    (x, y) => 5 + ((19 * x + 23 * y) % 246),
    (x, y) => 40 + 20 * x + 6 * y,
    (x, y) => 220 - 24 * x - 9 * y,
  ];
  const { inside, edge } = await oddErrors(oddFullRange, [13, 9], codes, true);
  expect(inside).toBe(0);
  expect(edge).toBeLessThan(7);
});

test('pixels are made square, as the container says, or else the codec', async () => {
  const said: string[] = [];
  const clip = await readVideo(blobOf(file(WIDE_WEBM)), { warn: (line) => said.push(line) });
  expect(said).toEqual([
    'video: its pixels are 1.31 times as wide as high; it is read as 21x8 with square ones',
  ]);
  expect([clip.width, clip.height, clip.frames]).toEqual([21, 8, 2]);
  expect(await videoInfo(blobOf(file(WIDE_WEBM)))).toMatchObject({
    width: 21,
    height: 8,
    pixelAspect: 21 / 16,
  });
  const [r, g, b] = clip.data.subarray(-3);
  expect(Math.max(Math.abs(r - 200), Math.abs(g - 40), Math.abs(b - 60))).toBeLessThan(4);
  const boxed = Buffer.from(file(tall));
  const bare = Buffer.from(boxed);
  bare.write('free', bare.indexOf('pasp'), 'latin1');
  const tkhd = find(bare, ['moov', 'trak', 'tkhd'])!.at;
  bare.writeUInt32BE(16 << 16, tkhd + 84);
  for (const bytes of [boxed, bare]) {
    expect(await videoInfo(blobOf(bytes))).toMatchObject({ width: 16, height: 21, pixelAspect: 0.75 });
    for await (const frame of decodeFrames(blobOf(bytes), { indices: [1] })) {
      expect((await frame.rgb()).length).toBe(16 * 21 * 3);
    }
  }
  // Neither, but the track is to be shown three times as wide as it is.
  const shown = Buffer.from(await encodeVideo(movingGradient(2, 16, 16, 8)));
  shown.writeUInt32BE(48 << 16, find(shown, ['moov', 'trak', 'tkhd'])!.at + 84);
  expect(await videoInfo(blobOf(shown))).toMatchObject({ width: 48, height: 16, pixelAspect: 3 });
});

/** [a, b, c, d] of the matrix of a track's header, whose box begins at `tkhd`. */
function turn(bytes: Buffer, tkhd: number, matrix: readonly number[]): Buffer {
  for (const [i, value] of matrix.entries())
    bytes.writeInt32BE(value * 65536, tkhd + 48 + 4 * [0, 1, 3, 4][i]);
  return bytes;
}

test.each<[string, readonly number[], object]>([
  ['wider', [3, 0, 0, 1], { width: 48, height: 16, pixelAspect: 3 }],
  ['higher', [1, 0, 0, 2], { width: 16, height: 32, pixelAspect: 0.5 }],
  ['larger', [2, 0, 0, 2], { width: 16, height: 16, pixelAspect: 1 }],
  ['wider and mirrored', [-3, 0, 0, 1], { width: 48, height: 16, pixelAspect: 3 }],
  ['wider and upside down', [-3, 0, 0, -1], { width: 48, height: 16, pixelAspect: 3 }],
  ['wider, then turned', [0, 3, -1, 0], { width: 16, height: 48, pixelAspect: 3 }],
  ['wider, then turned the other way', [0, -3, 1, 0], { width: 16, height: 48, pixelAspect: 3 }],
])('a matrix that makes the track %s', async (_, matrix, expected) => {
  const bytes = Buffer.from(await encodeVideo(movingGradient(2, 16, 16, 8)));
  turn(bytes, find(bytes, ['moov', 'trak', 'tkhd'])!.at, matrix);
  expect(await videoInfo(blobOf(bytes))).toMatchObject(expected);
  const clip = await readVideo(blobOf(bytes));
  expect(expected).toMatchObject({ width: clip.width, height: clip.height });
});

test('a picture that is not turned by quarters is refused, one that is nearly so is not', async () => {
  const turnedBy = async (degrees: number) => {
    const [c, s] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
    const bytes = Buffer.from(await encodeVideo(movingGradient(2, 32, 16, 8)));
    return videoInfo(blobOf(turn(bytes, find(bytes, ['moov', 'trak', 'tkhd'])!.at, [c, s, -s, c])));
  };
  await expect(turnedBy(45)).rejects.toThrow(
    'its picture is turned by 45 degrees, which is not read; convert',
  );
  expect(await turnedBy(90.5)).toMatchObject({ width: 32, height: 16 });
});

test.each([
  ['PQ', 16],
  ['HLG', 18],
])('a picture in %s is told', async (curve, transfer) => {
  const bytes = Buffer.from(await encodeVideo(movingGradient(2, 16, 16, 8)));
  bytes.writeUInt16BE(transfer, bytes.indexOf('nclx') + 6);
  const lines: string[] = [];
  await readVideo(blobOf(bytes), { warn: (line) => lines.push(line) });
  expect(lines).toEqual([
    `video: it is HDR (${curve}) and read as it is, which looks pale; record or export it as SDR`,
  ]);
});

test('a box for the shape of pixels stands alone, whatever the matrix says', async () => {
  const bytes = Buffer.from(file(tall));
  turn(bytes, find(bytes, ['moov', 'trak', 'tkhd'])!.at, [2, 0, 0, 1]);
  expect(await videoInfo(blobOf(bytes))).toMatchObject({ width: 16, height: 21, pixelAspect: 0.75 });
});

test('counts that the file cannot hold are refused before anything counts to them', async () => {
  const whole = Buffer.from(await encodeVideo(movingGradient(12, 16, 16, 8)));
  const stbl = ['moov', 'trak', 'mdia', 'minf', 'stbl'];
  const at = (type: string) => find(whole, [...stbl, type])!.at;
  const patched = (offset: number, ...values: number[]) => {
    const copy = Buffer.from(whole);
    for (const [i, value] of values.entries()) copy.writeUInt32BE(value, offset + 4 * i);
    return copy;
  };
  const renamed = (offset: number, type: string, ...values: number[]) => {
    const copy = patched(offset + 8, ...values);
    copy.write(type, offset + 4, 'latin1');
    return copy;
  };
  const deep = (levels: number): Buffer => (levels === 0 ? Buffer.alloc(0) : box('dinf', deep(levels - 1)));
  const run = box('moof', box('traf', box('trun', words(0, 50_000_000))));
  const cases: [name: string, bytes: Buffer, message: RegExp][] = [
    ['stts count', patched(at('stts') + 12, 50_000_000), /table stts claims 50000000 entries/],
    ['stts sum', patched(at('stts') + 12, 1, 50_000_000), /claims 50000000 frames, more than the 1000000/],
    ['stsz', patched(at('stsz') + 12, 0, 50_000_000), /claims 50000000 samples/],
    ['stsz same', patched(at('stsz') + 12, 1, 50_000_000), /claims 50000000 samples/],
    ['stz2', renamed(at('stsz'), 'stz2', 0, 0, 4_000_000_000), /claims 4000000000 samples/],
    ['stsc', patched(at('stsc') + 12, 500_000), /table stsc claims 500000 entries/],
    ['stco', patched(at('stco') + 12, 500_000), /table stco claims 500000 entries/],
    ['ctts', inserted(whole, stbl, box('ctts', words(0, 1, 4_000_000_000, 0))), /claims 4000000000 frames/],
    [
      'elst',
      inserted(whole, ['moov', 'trak'], box('edts', box('elst', words(0, 9000)))),
      /table elst claims 9000/,
    ],
    ['trun', Buffer.concat([whole, run]), /claims/],
    ['deep', inserted(whole, ['moov'], deep(100)), /nested more than 16 deep/],
    [
      'child',
      patched(find(whole, ['moov', 'trak'])!.at, 99_999_999),
      /its box trak is larger than what it is in/,
    ],
    ['index', whole.subarray(0, find(whole, ['moov'])!.at + 60), /its index \(moov\) is cut off/],
    [
      'none',
      Buffer.concat([whole.subarray(0, find(whole, ['moov'])!.at), box('mdat')]),
      /it has no index \(moov\)/,
    ],
  ];
  for (const [name, bytes, message] of cases) {
    const error = await videoInfo(new File([Uint8Array.from(bytes)], `${name}.mp4`)).then(
      () => new Error(`${name} was opened`),
      (thrown) => thrown,
    );
    expect(error.name, name).toBe('InvalidFileError');
    expect(error.message, name).toMatch(message);
    expect(error.message).toMatch(new RegExp(`^${name}\\.mp4: [ -~]+$`));
  }
});

test('fragments are counted in every box, and their table must lead to them', async () => {
  const source = (bytes: Buffer) => ({
    size: bytes.length,
    read: async (from: number, to: number) => new Uint8Array(bytes.subarray(from, to)),
  });
  const track = box(
    'trak',
    box('tkhd', words(7, 0, 0, 1, ...Array(17).fill(0))),
    box('mdia', box('hdlr', words(0, 0), Buffer.from('vide'))),
  );
  const moov = box('moov', track, box('mvex'));
  const moof = (count: number) => box('moof', box('traf', box('trun', words(0, count))));
  await readMp4(source(Buffer.concat([moov, moof(4), moof(5)])));
  await expect(readMp4(source(Buffer.concat([moov, moof(4), moof(900)])))).rejects.toThrow(
    /claims 904 samples/,
  );
  const table = (offset: number) =>
    box('mfra', box('tfra', words(0, 1, 0, 1, 0, offset), Buffer.alloc(3)), box('mfro', words(0, 0)));
  const withTable = (offset: number) => {
    const bytes = Buffer.concat([moov, moof(1), table(offset)]);
    bytes.writeUInt32BE(table(offset).length, bytes.length - 4);
    return source(bytes);
  };
  await readMp4(withTable(moov.length));
  await expect(readMp4(withTable(moov.length + 8))).rejects.toThrow(/table of fragments points to byte/);
});

test('elements of a Matroska file are counted, laced frames too', async () => {
  const bytes = Buffer.from(file(WIDE_WEBM));
  const source = (content: Buffer) => ({
    size: content.length,
    read: async (from: number, to: number) => new Uint8Array(content.subarray(from, to)),
  });
  expect(await checkMatroska(source(bytes))).toBe(bytes.length);
  expect(await checkMatroska(source(Buffer.concat([bytes, Buffer.alloc(50)])))).toBe(bytes.length);
  const lost = Buffer.from(bytes);
  lost.writeUInt32BE(0x15153123, lost.indexOf(Buffer.from('1654ae6b', 'hex'), 120));
  await expect(checkMatroska(source(lost))).rejects.toThrow(/does not belong there/);
  const cut = Buffer.from(bytes);
  cut[cut.lastIndexOf(Buffer.from('1c53bb6b', 'hex')) + 4] = 0x81;
  await expect(checkMatroska(source(cut))).rejects.toThrow(/larger than what it is in/);
  // A SimpleBlock of six bytes whose 256 frames are empty.
  const laced = Buffer.from([0xa3, 0x85, 0x81, 0, 0, 0x04, 0xff]);
  const many = Buffer.concat([bytes, ...Array.from({ length: 40_000 }, () => laced)]);
  await expect(checkMatroska(source(many))).rejects.toThrow(/frames, more than the 1000000/);
  await expect(
    checkMatroska(source(Buffer.concat([bytes, Buffer.from([0x01, 0x02, 0x03])]))),
  ).rejects.toThrow(/no element at byte/);
});

test('other files get their names', () => {
  const of = (text: string) => sniff(Buffer.from(text, 'latin1'));
  expect(of('\x1a\x45\xdf\xa3')).toEqual({ container: 'matroska' });
  expect(of('\0\0\0\x18ftypisom')).toEqual({ container: 'mp4' });
  expect(of('RIFF\0\0\0\0AVI LIST')).toEqual({ other: 'an AVI video' });
  expect(of('just words\n')).toEqual({ other: 'a text file' });
  expect(of('\x01\x02')).toBeUndefined();
});

test('files that are no videos, or of codecs that are not read, get one line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dwm-container-'));
  const write = (name: string, bytes: Uint8Array | string) => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  };
  const whole = Buffer.from(await encodeVideo(movingGradient(3, 16, 16, 8)));
  const coded = (codec: string) => {
    const copy = Buffer.from(whole);
    copy.write(codec, copy.indexOf('avc1', copy.indexOf('stsd')), 'latin1');
    return copy;
  };
  const silent = Buffer.from(whole);
  silent.write('free', silent.indexOf('trak'), 'latin1');
  const cases: [path: string, message: RegExp][] = [
    [
      write('text.mp4', 'Assertion of a text'),
      /is not a video this program reads, but a text file; expected MP4/,
    ],
    [write('empty.mp4', ''), /is empty \(0 bytes\), expected a video/],
    [write('short.mp4', whole.subarray(0, 6)), /is not a video|has no index/],
    [
      write('prores.mp4', coded('apch')),
      /its codec \(ProRes, "apch"\) cannot be decoded here; convert it: ffmpeg -i/,
    ],
    [write('odd.mp4', coded('\x1b]\x07\n')), /its codec \("\?\]\?\?"\) cannot be decoded here/],
    [write('drm.mp4', coded('encv')), /is encrypted/],
    [write('sound.mp4', silent), /holds no video track/],
    [write('cut.mp4', whole.subarray(0, 40)), /its index \(moov\) is cut off/],
  ];
  for (const [path, message] of cases) {
    const error = await readVideo(path).then(
      () => new Error(`${path} was read`),
      (thrown) => thrown,
    );
    expect(error.name, path).toBe('InvalidFileError');
    expect(error.message, path).toMatch(message);
    expect(error.message.startsWith(`${path}: `)).toBe(true);
    expect(error.message).toMatch(/^[ -~]+$/);
  }
});
