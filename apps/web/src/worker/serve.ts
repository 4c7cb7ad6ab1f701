/** The worker's end of the protocol: runs calls, passes on their progress, and aborts those that are cancelled. */
import { DwmError } from '@dwm/core-tensor';
import type { CallName, Calls, Failure, FromWorker, ToWorker } from './protocol.ts';

/** Lets messages in, so that what was cancelled meanwhile is known. */
export const messagesIn = () => new Promise((resolve) => setTimeout(resolve));

export interface CallContext<P> {
  readonly signal: AbortSignal;
  report(progress: P): void;
}

type Handlers = {
  [N in CallName]: (
    argument: Calls[N]['argument'],
    context: CallContext<Calls[N]['progress']>,
  ) => Promise<Calls[N]['result']>;
};

const post = (message: FromWorker, transfer: Transferable[] = []) =>
  (postMessage as (message: unknown, transfer: Transferable[]) => void)(message, transfer);

/** Buffers of pictures in a message, to be handed over. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (value instanceof Uint8Array) return [value.buffer as ArrayBuffer];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  return Object.values(value).flatMap(buffersOf);
}

function failureOf(error: unknown, signal: AbortSignal): Failure {
  if (signal.aborted) return { code: 'cancelled', message: 'cancelled' };
  const message = error instanceof Error ? error.message : String(error);
  return { code: error instanceof DwmError ? error.code : 'unexpected', message: message.split('\n')[0] };
}

export function serve(handlers: Handlers): void {
  const running = new Map<number, AbortController>();
  addEventListener('message', async ({ data }: MessageEvent<ToWorker>) => {
    if ('cancel' in data) {
      running.get(data.cancel)?.abort();
      return;
    }
    const { id, name, argument } = data;
    const controller = new AbortController();
    running.set(id, controller);
    const { signal } = controller;
    const handler = handlers[name] as (argument: unknown, context: CallContext<unknown>) => Promise<unknown>;
    try {
      const result = await handler(argument, {
        signal,
        report: (progress) => post({ id, progress }, buffersOf(progress)),
      });
      post({ id, result }, buffersOf(result));
    } catch (error) {
      if (!(error instanceof DwmError) && !signal.aborted) console.error(error);
      post({ id, failure: failureOf(error, signal) });
    } finally {
      running.delete(id);
    }
  });
}

export const announceLoss = (message: string) => post({ lost: message });
