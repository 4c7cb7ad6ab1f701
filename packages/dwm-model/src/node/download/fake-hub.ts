/**
 * A hub of our own on loopback, for tests: model info, file tree and resolve and, on another port as in reality, the storage that large files are redirected to.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const MODEL_ID = 'owner/tiny-dwm';
export const COMMIT = '0123456789abcdef0123456789abcdef01234567';
/** Files from this size on are "LFS": SHA-256 checksum, kept in the storage. */
const LFS_BYTES = 1000;

interface SeenRequest {
  server: 'hub' | 'storage';
  path: string;
  range?: string;
  ifRange?: string;
  authorization?: string;
}

export class FakeHub {
  readonly files = new Map<string, Uint8Array>();
  readonly seen: SeenRequest[] = [];
  /** Token without which the hub answers 401. */
  token?: string;
  /** Answers used up before the regular ones, for file contents: a status, or bytes after which to hang up. */
  readonly failures: ({ status: number } | { cutAfter: number })[] = [];
  /** Changes what is listed, or what is sent. */
  tree: (entries: Record<string, unknown>[]) => unknown = (entries) => entries;
  sent: (path: string, bytes: Uint8Array) => Uint8Array = (_, bytes) => bytes;
  honoursRange = true;
  /** Takes a request from the regular answers: to send nonsense, or nothing. */
  intercept: (request: IncomingMessage, response: ServerResponse, server: 'hub' | 'storage') => boolean =
    () => false;
  #servers: Server[] = [];
  /** Address of the storage. */
  storage = '';

  /** @returns the endpoint. */
  async start(): Promise<string> {
    this.storage = await this.#listen((request, response) => this.#answerStorage(request, response));
    return this.#listen((request, response) => this.#answerHub(request, response));
  }

  stop(): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }

  async #listen(listener: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
    const server = createServer(listener);
    this.#servers.push(server);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  #note(server: 'hub' | 'storage', { url, headers }: IncomingMessage): string {
    const path = decodeURIComponent(url!.split('?')[0]!);
    const { range, authorization } = headers;
    this.seen.push({ server, path, range, authorization, ifRange: headers['if-range'] as string });
    return path;
  }

  #answerHub(request: IncomingMessage, response: ServerResponse): void {
    const path = this.#note('hub', request);
    if (this.intercept(request, response, 'hub')) return;
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) {
      return void json(401, { error: 'Invalid username or password.' });
    }
    if (path === `/api/models/${MODEL_ID}/revision/main`)
      return void json(200, { id: MODEL_ID, sha: COMMIT });
    if (path === `/api/models/${MODEL_ID}/tree/${COMMIT}`) return void json(200, this.tree(this.#entries()));
    const resolve = `/${MODEL_ID}/resolve/${COMMIT}/`;
    const file = path.startsWith(resolve) ? path.slice(resolve.length) : '';
    const bytes = this.files.get(file);
    if (!bytes) return void json(404, { error: 'Repository not found' });
    if (bytes.byteLength < LFS_BYTES) return void this.#sendFile(file, bytes, request, response);
    const location = `${this.storage}/${encodeURIComponent(file)}?signature=s`;
    response.writeHead(302, { location, 'x-linked-etag': '"e"', 'x-linked-size': bytes.byteLength }).end();
  }

  #answerStorage(request: IncomingMessage, response: ServerResponse): void {
    const file = this.#note('storage', request).slice(1);
    if (this.intercept(request, response, 'storage')) return;
    this.#sendFile(file, this.files.get(file)!, request, response);
  }

  #sendFile(file: string, stored: Uint8Array, request: IncomingMessage, response: ServerResponse): void {
    const bytes = this.sent(file, stored);
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const honoured = first !== undefined && this.honoursRange;
    const from = honoured ? Number(first) : 0;
    const body = bytes.subarray(from, honoured && last ? Number(last) + 1 : undefined);
    const failure = this.failures.shift();
    if (failure && 'status' in failure) return void response.writeHead(failure.status).end();
    response.writeHead(honoured ? 206 : 200, {
      etag: '"e"',
      'content-length': body.byteLength,
      ...(honoured
        ? { 'content-range': `bytes ${from}-${from + body.byteLength - 1}/${bytes.byteLength}` }
        : {}),
    });
    if (!failure) return void response.end(body);
    response.write(body.subarray(0, failure.cutAfter), () => setTimeout(() => response.destroy(), 20));
  }

  #entries(): Record<string, unknown>[] {
    return Array.from(this.files, ([path, bytes]) => {
      const size = bytes.byteLength;
      const blob = createHash('sha1').update(`blob ${size}\0`).update(bytes).digest('hex');
      const lfs = { oid: createHash('sha256').update(bytes).digest('hex'), size, pointerSize: 130 };
      return { type: 'file', path, size, oid: blob, ...(size >= LFS_BYTES ? { lfs } : {}) };
    }).concat({ type: 'directory', path: 'vae', size: 0, oid: '0'.repeat(40) } as never);
  }
}
