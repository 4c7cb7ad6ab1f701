/** Undo and redo over values that are never changed in place. */
export interface History<T> {
  readonly past: readonly T[];
  readonly present: T;
  readonly future: readonly T[];
}

const KEPT = 50;

export const begin = <T>(present: T): History<T> => ({ past: [], present, future: [] });

export const push = <T>({ past, present }: History<T>, next: T): History<T> => ({
  past: [...past.slice(1 - KEPT), present],
  present: next,
  future: [],
});

export function undo<T>({ past, present, future }: History<T>): History<T> {
  if (past.length === 0) return { past, present, future };
  return { past: past.slice(0, -1), present: past[past.length - 1], future: [present, ...future] };
}

export function redo<T>({ past, present, future }: History<T>): History<T> {
  if (future.length === 0) return { past, present, future };
  return { past: [...past, present], present: future[0], future: future.slice(1) };
}
