/** Whether a field is being typed into. It is not switched off meanwhile: the browser would drop what is typed. */
import { createSignal } from 'solid-js';

export function createTyping() {
  const [now, set] = createSignal(false);
  return { now, begin: () => set(true), end: () => set(false) };
}
