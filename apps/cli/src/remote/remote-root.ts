/**
 * A data root that is read over the network: `https://…`, or `s3://bucket/prefix` of S3 and all that speaks it. What is read
 * is kept in the user's cache, where everything else finds it as files; what has changed at the server is fetched anew.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { lockFile, tryLock, writeFileAtomic } from '@dwm/core-tensor/node';
import { type Answer, requestUrl, StalledError } from '@dwm/dwm-model/node';
import { AwsV4Signer } from 'aws4fetch';

type Environment = Readonly<Record<string, string | undefined>>;

/** A server that does not give what is asked of it. */
export class RemoteError extends DwmError {}

export const isRemote = (root: string): boolean => /^(s3|https?):\/\//.test(root);

const WAITS_MS = [500, 1000, 2000, 4000];
/** Repeats of a request to a server that fell silent: each has taken long. */
const STALLS = 2;
/** A server may send nothing, or less than 1 kB a second, for so long. */
const PATIENCE_MS = 10_000;
/** Of the same file, by other processes of this machine. */
const POLL_MS = 200;

/** How a server knows a file's content: its sidecar in the cache. */
interface Known {
  readonly etag: string;
  readonly size: number;
}

export class RemoteRoot {
  /** As it was given. */
  readonly url: string;
  /** Where its files lie once they are fetched. */
  readonly folder: string;
  readonly #base: URL;
  readonly #sign: (url: URL) => Promise<URL>;
  readonly #signal: AbortSignal | undefined;
  readonly #patienceMs: number;
  /** What this process has looked at, whether it is there or not. */
  readonly #seen = new Map<string, Promise<boolean>>();

  /** @throws InvalidArgumentError for an address that is none. */
  constructor(
    url: string,
    env: Environment = process.env,
    signal?: AbortSignal,
    patienceMs: number = PATIENCE_MS,
  ) {
    this.url = url;
    const id = createHash('sha256').update(url).digest('hex').slice(0, 16);
    this.folder = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dwm', 'data', id);
    this.#signal = signal;
    this.#patienceMs = patienceMs;
    if (url.startsWith('s3://')) {
      const [, bucket, prefix = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(url) ?? [];
      if (bucket === undefined)
        throw new InvalidArgumentError('data-root', `${url}: expected s3://bucket/prefix`);
      const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1';
      const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL;
      // Servers of one's own have no name for each bucket.
      const base = endpoint
        ? `${endpoint.replace(/\/$/, '')}/${bucket}/`
        : `https://${bucket}.s3.${region}.amazonaws.com/`;
      this.#base = new URL(withSlash(prefix), base);
      this.#sign = signer(env, region);
    } else {
      if (!URL.canParse(url)) throw new InvalidArgumentError('data-root', `${url}: is no address`);
      this.#base = new URL(url);
      const { username, password, search, hash } = this.#base;
      // It would be shown in every message.
      if (username || password || search || hash)
        throw new InvalidArgumentError('data-root', 'expected an address alone, without user, ? or #');
      if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
      this.#sign = async (at) => at;
    }
  }

  /**
   * Has a file in the cache, as it is at the server now.
   * @param path relative to the root.
   * @returns whether there is such a file.
   * @throws RemoteError where the server refuses, or does not answer after some tries.
   */
  async fetch(path: string): Promise<boolean> {
    // Nothing outside of the root is asked for.
    if (path.startsWith('/') || path.split('/').includes('..')) return false;
    const seen = this.#seen.get(path) ?? this.#fetchLocked(path);
    this.#seen.set(path, seen);
    return seen;
  }

  async #fetchLocked(path: string): Promise<boolean> {
    const target = join(this.folder, path);
    await mkdir(dirname(target), { recursive: true });
    // One process of a machine fetches it.
    for (;;) {
      const held = await tryLock(lockFile(dirname(target), `${path}.part`.replaceAll('/', '-')), target);
      if (held) return this.#fetchRetrying(path, target).finally(() => held.release());
      await sleep(POLL_MS, undefined, { signal: this.#signal });
    }
  }

  async #fetchRetrying(path: string, target: string): Promise<boolean> {
    for (let tries = 0; ; tries++) {
      try {
        return await this.#fetchOnce(path, target);
      } catch (error) {
        this.#signal?.throwIfAborted();
        const stalled = error instanceof StalledError;
        const passing =
          error instanceof RemoteError
            ? error.code === 'remote-passing'
            : error instanceof TypeError || stalled;
        const why = error instanceof RemoteError ? error.message : `${this.#name(path)}: ${reasonOf(error)}`;
        if (!passing || tries >= (stalled ? STALLS : WAITS_MS.length))
          throw passing ? new RemoteError('remote', why) : error;
        await sleep(WAITS_MS[tries], undefined, { signal: this.#signal });
      }
    }
  }

  #name = (path: string): string => `${this.url.replace(/\/$/, '')}/${path}`;

  async #fetchOnce(path: string, target: string): Promise<boolean> {
    const part = `${target}.part`;
    const known = await knownOf(target);
    const begun = await knownOf(part);
    const have = begun ? await sizeOf(part) : 0;
    const url = await this.#sign(new URL(path.split('/').map(encodeURIComponent).join('/'), this.#base));
    const answer = await requestUrl(
      url.href,
      { endpoint: url.origin, patienceMs: this.#patienceMs, signal: this.#signal },
      {
        headers: {
          'Accept-Encoding': 'identity',
          // Goes on with a part of the same content, or learns that what is here is what is there.
          ...(have > 0
            ? { Range: `bytes=${have}-`, 'If-Range': begun!.etag }
            : known && { 'If-None-Match': known.etag }),
        },
      },
    );
    try {
      return await this.#receive(path, target, part, have, answer);
    } finally {
      answer.stop();
    }
  }

  async #receive(
    path: string,
    target: string,
    part: string,
    have: number,
    { status, headers, body }: Answer,
  ): Promise<boolean> {
    if (status === 304) return true;
    if (status === 404) {
      await rm(target, { force: true });
      return false;
    }
    if (status === 416) {
      await rm(part, { force: true });
      throw new RemoteError(
        'remote-passing',
        `${this.#name(path)}: the file became shorter while it was read`,
      );
    }
    if (status !== 200 && status !== 206) {
      const passing = status >= 500 || status === 429 || status === 408;
      const fix =
        status === 401 || status === 403
          ? '; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, and that the file may be read'
          : '';
      throw new RemoteError(
        passing ? 'remote-passing' : 'remote',
        `${this.#name(path)}: the server answers with status ${status}${fix}`,
      );
    }
    const start = status === 206 ? Number(/^bytes (\d+)-/.exec(headers.get('content-range') ?? '')?.[1]) : 0;
    if (status === 206 && start !== have) {
      await rm(part, { force: true });
      throw new RemoteError(
        'remote-passing',
        `${this.#name(path)}: the server sent another range than was asked for`,
      );
    }
    const length = Number(headers.get('content-length') ?? Number.NaN);
    const size = start + length;
    const etag = headers.get('etag') ?? '';
    // A weak tag says nothing of bytes.
    await writeFileAtomic(`${part}.tag`, JSON.stringify({ etag: etag.startsWith('"') ? etag : '', size }));
    const file = await open(part, start > 0 ? 'a' : 'w');
    try {
      for await (const chunk of body) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    const got = await sizeOf(part);
    if (Number.isFinite(size) && got !== size)
      throw new RemoteError('remote-passing', `${this.#name(path)}: broke off after ${got} of ${size} bytes`);
    await writeFileAtomic(
      `${target}.tag`,
      JSON.stringify({ etag: etag.startsWith('"') ? etag : '', size: got }),
    );
    await rename(part, target);
    await rm(`${part}.tag`, { force: true });
    return true;
  }
}

const withSlash = (prefix: string) => (prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`);

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0;

const reasonOf = (error: unknown): string => {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code || message : message;
};

/** What is known of a whole file or a part: only where its length is still what it was then. */
async function knownOf(path: string): Promise<Known | undefined> {
  try {
    const { etag, size } = JSON.parse(await readFile(`${path}.tag`, 'utf8')) as Known;
    const there = await stat(path);
    const whole = path.endsWith('.part') ? there.size < size : there.size === size;
    return typeof etag === 'string' && etag !== '' && whole ? { etag, size } : undefined;
  } catch {
    return undefined;
  }
}

/** Addresses that are signed for an hour; as they are, without keys. */
function signer(env: Environment, region: string): (url: URL) => Promise<URL> {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (!accessKeyId || !secretAccessKey) return async (url) => url;
  return async (url) => {
    const signed = await new AwsV4Signer({
      url: url.href,
      accessKeyId,
      secretAccessKey,
      ...(env.AWS_SESSION_TOKEN && { sessionToken: env.AWS_SESSION_TOKEN }),
      service: 's3',
      region,
      signQuery: true,
    }).sign();
    return signed.url;
  };
}
