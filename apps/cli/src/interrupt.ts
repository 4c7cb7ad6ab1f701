import { setMaxListeners } from 'node:events';

/** Ctrl-C and SIGTERM as an abort: work stops at its next safe point; a second Ctrl-C stops at once. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  // Each request and each pause listens to it, as many as are under way: no leak, which Node takes more than ten for.
  setMaxListeners(0, controller.signal);
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
