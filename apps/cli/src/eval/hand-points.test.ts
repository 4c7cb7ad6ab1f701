import { expect, test } from 'vitest';
import { pck } from './hand-points.ts';

/** A hand of 21 points, 100 pixels wide. */
const hand = (x: number, y = 0) => Array.from({ length: 21 }, (_, i) => [x + 5 * i, y] as const);

test('points count within a fifth of the hand, and hands that are not seen count as wrong', () => {
  expect(pck([[hand(0)]], [[hand(20)]])).toBe(1);
  expect(pck([[hand(0)]], [[hand(21)]])).toBe(0);
  const bent = hand(0).map(([x, y], i) => [x, i < 7 ? 50 : y] as const);
  expect(pck([[hand(0)]], [[bent]])).toBeCloseTo(14 / 21, 12);
  expect(pck([[hand(0)], [hand(0)]], [[hand(0)], []])).toBe(0.5);
});

test('each hand counts once, for the nearest; frames without a wanted hand do not count', () => {
  expect(pck([[hand(0), hand(300)]], [[hand(301)]])).toBe(0.5);
  expect(pck([[hand(0), hand(300)]], [[hand(301), hand(2)]])).toBe(1);
  expect(pck([[hand(0), hand(10)]], [[hand(5)]])).toBe(0.5);
  expect(pck([[hand(0)], []], [[hand(0)], [hand(9)]])).toBe(1);
  expect(pck([[], []], [[hand(0)], []])).toBeNull();
});
