import { InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import { inSteps, integer, real } from './options.ts';

test.each<[string, (text: string) => number, string[], string[]]>([
  ['whole numbers', integer(0), ['0', '42', '1e3'], ['-1', '0.5', '', ' ', 'x', 'NaN', '9007199254740992']],
  ['a range', integer(1, 1000), ['1', '1000'], ['0', '1001', 'Infinity']],
  ['reals', real(1, 240), ['1', '29.97', '240'], ['0', '0.99', '241', '', 'x', 'NaN']],
  ['reals without end', real(0), ['0', '1e9'], ['-0.1', 'Infinity']],
  ['multiples of 16', inSteps(16, 16, 'a multiple of 16'), ['16', '480'], ['0', '-16', '40', '16.5', '']],
  ['4k + 1', inSteps(1, 4, '4k + 1'), ['1', '5', '49'], ['0', '-3', '4', '48', 'x']],
])('%s', (_, parse, good, bad) => {
  for (const text of good) expect(parse(text)).toBe(Number(text));
  for (const text of bad) expect(() => parse(text), text).toThrow(InvalidArgumentError);
});
