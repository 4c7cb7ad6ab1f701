/**
 * What one pass of a reduction reads: in pass 0 the elementwise expression that is reduced, computed as it is
 * read and never stored; in pass k the k-th scratch buffer.
 */
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { type Operand, read, scratch } from '../kernel.ts';
import { strided } from '../pointwise/access.ts';
import { operand } from '../pointwise/expression.ts';
import {
  emitFusion,
  type FusedCode,
  type Fusion,
  largestWindow,
  takesFourLanes,
} from '../pointwise/fusion.ts';
import { enables, type Lanes } from '../storage.ts';

/** A dense tensor of `count` elements, as it is. */
export const denseSource = (count: number, dtype: DType): Fusion => ({
  shape: [count],
  expression: operand(0),
  operands: [{ dtype, access: strided([1]), count }],
});

interface Source {
  /** Directives for the top of the module. */
  readonly enables: string;
  readonly code: FusedCode;
  /** Bindings that it takes, from 1 on. */
  readonly bindings: number;
  readonly lanes: Lanes;
  /** Whether the windows for elements [start, end) fit in bindings. */
  fits(start: number, end: number): boolean;
  /** Operands and the values of the code's uniform fields for elements [start, end). */
  bind(start: number, end: number): { operands: Operand[]; uniforms: number[] };
}

/** @param row elements that lie side by side; steps of four do not cross their ends. */
export function readSource(fusion: Fusion, row: number, pass: number, caps: DeviceCaps): Source {
  const lanes = row % 4 === 0 && takesFourLanes(fusion) ? 4 : 1;
  const code = emitFusion(fusion, 1, 'f32', lanes, caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  return {
    enables: enables(
      fusion.operands.map(({ dtype }) => dtype),
      caps,
    ),
    code,
    bindings: fusion.operands.length,
    lanes,
    fits: (start, end) => largestWindow(code, start, end) <= limit,
    bind(start, end) {
      const { windows, uniforms } = code.windows(start, end);
      const operands = windows.map(({ byteOffset, byteLength }, k) =>
        pass === 0
          ? read(k, { byteOffset, byteLength })
          : { ...scratch(pass - 1, 'read'), byteOffset, byteLength },
      );
      return { operands, uniforms };
    },
  };
}
