/**
 * Trying again after failures that pass by themselves: server errors, rate limits, broken connections. Waits
 * grow from half a second, and start over whenever the transfer got further, so that a long download over
 * a bad line ends only when nothing moves any more. A server that only drips gets few tries: each has taken long.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionClosedError, HubStatusError, networkCode, StalledError } from './errors.ts';

const WAITS_MS = [500, 1000, 2000, 4000, 8000];
/** Repeats of a request that stalled. */
const STALLS = 2;
const PASSING = /^(ECONNRESET|EPIPE|ETIMEDOUT|EAI_AGAIN|UND_ERR_(SOCKET|\w+_TIMEOUT))$/;

/** Whether the same request may succeed in a moment. */
export function isPassing(error: unknown): boolean {
  if (error instanceof HubStatusError) return error.status >= 500 || [408, 429].includes(error.status);
  return error instanceof ConnectionClosedError || PASSING.test(networkCode(error) ?? '');
}

/**
 * Runs `attempt` until it succeeds, fails for good, or has failed once more than there are waits.
 * @param progress any number that changes when an attempt got further than the ones before.
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal | undefined,
  progress: () => number = () => 0,
  waitsMs: readonly number[] = WAITS_MS,
): Promise<T> {
  let failures = 0;
  let reached = progress();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const stalled = error instanceof StalledError;
      if (progress() !== reached && !stalled) failures = 0;
      reached = progress();
      const most = stalled ? Math.min(STALLS, waitsMs.length) : waitsMs.length;
      if (signal?.aborted || !isPassing(error) || failures >= most) throw error;
      await sleep(waitsMs[failures], undefined, { signal });
      failures++;
    }
  }
}
