import { expect, test } from 'vitest';
import { contiguousStrides, elementCount, elementRange, splitRange } from './access.ts';

test('elementRange equals brute force over random strided, shifted and divided accesses', () => {
  let state = 1;
  const below = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  for (let n = 0; n < 2000; n++) {
    const shape = Array.from({ length: 1 + below(4) }, () => 1 + below(5));
    const count = elementCount(shape);
    const dims = shape.map(() => ({ stride: below(30), shift: below(3), divisor: 1 + below(3) }));
    const start = below(count);
    const end = start + 1 + below(count - start);
    const strides = contiguousStrides(shape);
    const elements: number[] = [];
    for (let i = start; i < end; i++) {
      elements.push(
        dims.reduce(
          (sum, { stride, shift, divisor }, d) =>
            sum + stride * Math.floor(((Math.floor(i / strides[d]) % shape[d]) + shift) / divisor),
          5,
        ),
      );
    }
    expect(elementRange({ offset: 5, dims }, shape, start, end)).toEqual([
      Math.min(...elements),
      Math.max(...elements),
    ]);
  }
});

test('splitRange covers the range in order with sections that fit', () => {
  const sections = splitRange(
    1000,
    16,
    (a, b) => b - a <= 100,
    () => new Error('too large'),
  );
  expect(sections[0][0]).toBe(0);
  expect(sections.at(-1)![1]).toBe(1000);
  for (const [i, [start, end]] of sections.entries()) {
    expect(end - start).toBeLessThanOrEqual(100);
    if (i > 0) expect(start).toBe(sections[i - 1][1]);
  }
  expect(() =>
    splitRange(
      1000,
      16,
      () => false,
      () => new Error('too large'),
    ),
  ).toThrow('too large');
});
