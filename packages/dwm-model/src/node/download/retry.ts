/**
 * Trying again after failures that pass by themselves: server errors, rate limits, broken connections. Waits
 * grow from half a second, and start over whenever the transfer got further, so that a long download over
 * a bad line ends only when nothing moves any more.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HubApiError } from '@huggingface/hub';
import { ConnectionClosedError, networkCode } from './errors.ts';

const WAITS_MS = [500, 1000, 2000, 4000, 8000];
const PASSING = /^(ECONNRESET|EPIPE|ETIMEDOUT|EAI_AGAIN|UND_ERR_(SOCKET|\w+_TIMEOUT))$/;

/** Whether the same request may succeed in a moment. */
export function isPassing(error: unknown): boolean {
  if (error instanceof HubApiError) return error.statusCode >= 500 || [408, 429].includes(error.statusCode);
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
      if (progress() !== reached) failures = 0;
      reached = progress();
      if (signal?.aborted || !isPassing(error) || failures === waitsMs.length) throw error;
      await sleep(waitsMs[failures], undefined, { signal });
      failures++;
    }
  }
}
