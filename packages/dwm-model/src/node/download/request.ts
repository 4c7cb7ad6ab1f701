/**
 * Requests to the hub and to the storage that it points to. The token goes to the hub's own origin, whatever a
 * redirect or a `Link` says, and a server that falls silent, or nearly so, is given up.
 */
import { DownloadError, StalledError } from './errors.ts';

/** A stall is less than this in the time that is allowed for one; a modem does 5 kB/s. */
const MIN_BYTES_PER_SECOND = 1000;
const MAX_REDIRECTS = 8;
/** Of an answer that is kept in memory: lists of a few thousand files take one. */
const MAX_ANSWER_BYTES = 32 << 20;

/** Where to ask, and as whom. */
export interface HubAccess {
  /** E.g. `https://huggingface.co`, without a slash at the end. */
  endpoint: string;
  /** Sent to the endpoint's origin and nowhere else. */
  token?: string;
  /** How long a server may send nothing, or less than 1 kB a second. */
  patienceMs: number;
  signal?: AbortSignal;
}

/** What a server answered; its body comes in chunks. */
export interface Answer {
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  /** Chunks as they come; must be read to its end, or `stop` be called. */
  readonly body: AsyncIterable<Uint8Array>;
  stop(): void;
}

/**
 * Sends a GET and follows redirects.
 * @param stayOnHub refuses to ask any other host than the hub.
 * @throws StalledError if the server sends nothing, or less than 1 kB a second, for `access.patienceMs`.
 */
export async function request(
  url: string,
  access: HubAccess,
  { headers = {}, stayOnHub = false }: { headers?: Record<string, string>; stayOnHub?: boolean } = {},
): Promise<Answer> {
  const watch = new Watch(access.patienceMs);
  const signal = access.signal ? AbortSignal.any([access.signal, watch.signal]) : watch.signal;
  const hub = new URL(access.endpoint).origin;
  try {
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const onHub = new URL(url).origin === hub;
      if (stayOnHub && !onHub)
        throw new DownloadError('hub-answer', `${shown(url)}: is not on the hub, ${hub}`);
      const response = await fetch(url, {
        headers: { ...headers, ...(onHub && access.token && { Authorization: `Bearer ${access.token}` }) },
        redirect: 'manual',
        signal,
      });
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null) {
        const body = watch.over(response.body ?? emptyBody());
        return { url, status: response.status, headers: response.headers, body, stop: () => watch.stop() };
      }
      await response.body?.cancel().catch(() => {});
      if (!URL.canParse(location, url))
        throw new DownloadError('hub-answer', `${shown(url)}: redirects to nowhere`);
      const next = new URL(location, url);
      if (!/^https?:$/.test(next.protocol) || next.username || next.password)
        throw new DownloadError(
          'hub-answer',
          `${shown(url)}: redirects to ${next.protocol}, expected http or https`,
        );
      url = next.href;
    }
    throw new DownloadError('hub-answer', `${shown(url)}: redirects more than ${MAX_REDIRECTS} times`);
  } catch (error) {
    watch.stop();
    throw error;
  }
}

/** Without what a storage signs addresses with. */
const shown = (url: string): string => url.replace(/[?#].*$/s, '');

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

/** The whole answer as text. @throws DownloadError if it does not end. */
export async function readText({ url, body, stop }: Answer): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      if (bytes > MAX_ANSWER_BYTES)
        throw new DownloadError(
          'hub-answer',
          `${shown(url)}: answers with more than ${MAX_ANSWER_BYTES} bytes`,
        );
      chunks.push(chunk);
    }
  } finally {
    stop();
  }
  return Buffer.concat(chunks).toString();
}

/** Ends a request when too little comes in a span of time. */
class Watch {
  readonly #stalled = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;

  constructor(patienceMs: number) {
    const least = (MIN_BYTES_PER_SECOND * patienceMs) / 1000;
    this.#timer = setInterval(() => {
      if (this.#bytes < least) {
        const got = this.#bytes === 0 ? 'nothing' : `${this.#bytes} bytes`;
        this.#stalled.abort(new StalledError(`it sent ${got} in ${patienceMs / 1000} s`));
      }
      this.#bytes = 0;
    }, patienceMs);
    this.#timer.unref();
  }

  get signal(): AbortSignal {
    return this.#stalled.signal;
  }

  async *over(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) {
        this.#bytes += chunk.byteLength;
        yield chunk;
      }
    } finally {
      this.stop();
    }
  }

  /** Nothing more is expected: what has not been received is let go. */
  stop(): void {
    clearInterval(this.#timer);
    this.#stalled.abort(new DOMException('the rest is not wanted', 'AbortError'));
  }
}
