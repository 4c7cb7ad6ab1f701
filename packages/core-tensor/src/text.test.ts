import { expect, test } from 'vitest';
import { DwmError, InvalidFileError } from './errors.ts';
import { oneLine, printable, printableJson, quote } from './text.ts';

/** What a terminal or a reader would be misled by; each with how it is shown. */
const HOSTILE: [string, string][] = [
  ['a\nb', 'a\\nb'],
  ['a\r\tb', 'a\\r\\tb'],
  ['\x1b[2Jgone', '\\u001b[2Jgone'],
  ['\x9b31mred', '\\u009b31mred'],
  ['\x7f\0', '\\u007f\\u0000'],
  ['gpj.\u202eexe', 'gpj.\\u202eexe'],
  ['\u2066\u200f\ufeff', '\\u2066\\u200f\\ufeff'],
  ['a\u2028b\u2029c', 'a\\u2028b\\u2029c'],
  ['\ud800x', '\\ud800x'],
  ['\u{e0041}', '\\udb40\\udc41'],
];

test('nothing that a terminal obeys is left, and letters of every script are', () => {
  for (const [raw, shown] of HOSTILE) expect(printable(raw)).toBe(shown);
  expect(printable('Küche, 厨房, 🖐🏽 и рука')).toBe('Küche, 厨房, 🖐🏽 и рука');
});

test('JSON that is shown reads back as it was', () => {
  const value = HOSTILE.map(([raw]) => ({ [raw]: raw }));
  const text = printableJson(value);
  expect(printable(text)).toBe(text);
  expect(JSON.parse(text)).toEqual(value);
});

test('quotes are printable and short, whatever they hold', () => {
  expect(quote('a"b\u202e')).toBe('"a\\"b\\u202e"');
  expect(quote(undefined)).toBe('undefined');
  expect(quote([1, 'x'])).toBe('[1,"x"]');
  for (const long of ['x'.repeat(1e5), '😀'.repeat(1e5), Array(1e5).fill('😀')]) {
    const text = quote(long);
    expect(text.length).toBeLessThan(120);
    expect(printable(text)).toBe(text);
  }
});

test('a long message keeps its ends', () => {
  const line = oneLine(`file.json: ${'😀'.repeat(5000)}; give it a shorter name`);
  expect(line.length).toBeLessThan(1300);
  expect(line).toMatch(/^file\.json: .* … .*; give it a shorter name$/u);
  expect(printable(line)).toBe(line);
});

test('every error is one printable line', () => {
  for (const [raw, shown] of HOSTILE) {
    expect(new InvalidFileError(raw, 'is bad').message).toBe(`${shown}: is bad`);
    expect(new DwmError('x', raw, { raw }).details).toEqual({ raw });
  }
});
