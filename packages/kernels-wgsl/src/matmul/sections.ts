/**
 * Cutting a matmul so that every operand fits in a binding: by batch, then by rows of the output, then (when
 * B itself is too large and stored by rows of N) by columns. Windows start at aligned offsets; what is left
 * over goes to the kernel as the element where each operand starts in its window.
 */
import type { DeviceCaps } from '../caps.ts';
import { byteLength, type DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { splitRange, type Window, windowOf } from '../pointwise/access.ts';
import { type FusedCode, largestWindow, offsetAlignment } from '../pointwise/fusion.ts';
import type { MatmulSpec } from './spec.ts';

/** Row and column cuts are multiples of this. */
const QUANTUM = 4;

interface Section {
  readonly batchStart: number;
  readonly batchCount: number;
  readonly rows: readonly [number, number];
  readonly columns: readonly [number, number];
  readonly a: Window;
  readonly b: Window;
  readonly out: Window;
}

export function matmulSections(spec: MatmulSpec, fused: FusedCode, caps: DeviceCaps): Section[] {
  const { batch, m, n, k, transposeA, transposeB, sharedB } = spec;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const alignment = offsetAlignment(caps);
  const batchesB = sharedB ? 1 : batch;
  const window = (low: number, end: number, count: number, dtype: DType) =>
    windowOf(low, end - 1, count, dtype, alignment);

  const windows = (
    batchStart: number,
    batchCount: number,
    rows: readonly [number, number],
    columns: readonly [number, number],
  ) => {
    const last = batchStart + batchCount - 1;
    const aStart = batchStart * m * k + (transposeA ? 0 : rows[0] * k);
    const aEnd = last * m * k + (transposeA ? m * k : rows[1] * k);
    const [firstB, lastB] = sharedB ? [0, 0] : [batchStart, last];
    const bStart = firstB * n * k + (transposeB ? columns[0] * k : 0);
    const bEnd = lastB * n * k + (transposeB ? columns[1] * k : n * k);
    const outStart = batchStart * m * n + rows[0] * n;
    const outEnd = last * m * n + rows[1] * n;
    return {
      a: window(aStart, aEnd, batch * m * k, spec.dtypeA),
      b: window(bStart, bEnd, batchesB * n * k, spec.dtypeB),
      out: window(outStart, outEnd, batch * m * n, spec.dtypeOut),
      epilogue: largestWindow(fused, outStart, outEnd),
    };
  };
  const fits = (bytes: number) => bytes <= limit;
  const tooLarge = (operand: string) => () =>
    new TooLargeError(
      `matmul [${m}, ${k}] x [${k}, ${n}]: one row block of ${operand} does not fit in a binding of ${limit} bytes`,
    );

  const batches = splitRange(
    batch,
    1,
    (start, end) => {
      const all = windows(start, end - start, [0, m], [0, n]);
      const whole = [all.a, all.b, all.out].every((w) => fits(w.byteLength)) && fits(all.epilogue);
      return whole || end - start === 1;
    },
    tooLarge('a batch'),
  );
  return batches.flatMap(([batchStart, batchEnd]) => {
    const batchCount = batchEnd - batchStart;
    const columnSections = splitRange(
      n,
      QUANTUM,
      (start, end) => fits(windows(batchStart, batchCount, [0, 1], [start, end]).b.byteLength),
      tooLarge(`B (${byteLength(n * k, spec.dtypeB)} bytes)`),
    );
    return columnSections.flatMap((columns) =>
      splitRange(
        m,
        QUANTUM,
        (start, end) => {
          const w = windows(batchStart, batchCount, [start, end], columns);
          return fits(w.a.byteLength) && fits(w.out.byteLength) && fits(w.epilogue);
        },
        tooLarge('A or the output'),
      ).map((rows) => ({
        batchStart,
        batchCount,
        rows,
        columns,
        ...windows(batchStart, batchCount, rows, columns),
      })),
    );
  });
}
