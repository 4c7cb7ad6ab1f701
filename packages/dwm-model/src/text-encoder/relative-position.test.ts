import { expect, test } from 'vitest';
import { bucketTable, relativePositionBucket } from './relative-position.ts';

test('near distances have buckets of their own, far ones share, later keys take the upper half', () => {
  const bucket = (relative: number) => relativePositionBucket(relative, 32, 128);
  expect([0, -1, -7, 1, 7].map(bucket)).toEqual([0, 1, 7, 17, 23]);
  // Beyond 8 the buckets grow by 16^(1/8) = sqrt(2): edges at 8, 11.3, 16, 22.6, 32, 45.3, 64, 90.5.
  expect(
    [8, 11, 12, 15, 16, 22, 23, 31, 32, 45, 46, 63, 64, 90, 91, 127, 128, 5000].map((d) => bucket(-d)),
  ).toEqual([8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 15, 15]);
  expect(bucket(5000)).toBe(31);
});

test('the table holds key minus query, queries along rows', () => {
  const tokens = 5;
  const table = bucketTable(tokens, 8, 20);
  for (let query = 0; query < tokens; query++) {
    for (let key = 0; key < tokens; key++) {
      expect(table[query * tokens + key]).toBe(relativePositionBucket(key - query, 8, 20));
    }
  }
});
