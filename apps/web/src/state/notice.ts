/** The page's one line about what went wrong. */
import { createSignal } from 'solid-js';
import { EngineError } from '../worker/client.ts';

export const lineOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Whoever cancelled knows; and the loss of the device has a line of its own. */
export const isSaidElsewhere = (error: unknown) =>
  error instanceof EngineError && ['cancelled', 'device-lost'].includes(error.code);

export function createNotice() {
  const [line, setLine] = createSignal<string>();
  return {
    line,
    show(error: unknown): void {
      if (!isSaidElsewhere(error)) setLine(lineOf(error));
    },
    dismiss: () => setLine(undefined),
  };
}

export type Notice = ReturnType<typeof createNotice>;
