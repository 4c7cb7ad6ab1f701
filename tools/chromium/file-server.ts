/**
 * Files over HTTP for tests, by prefix: `/shared/` from one folder, `/` from another, or from memory. It answers
 * Range requests, which weights are read by, and nothing outside its folders.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

/** Longest prefixes first; a value is a folder, or the files of one by path. */
type Mounts = Readonly<Record<string, string | ReadonlyMap<string, Uint8Array>>>;

export interface FileServer {
  /** Without a slash at its end. */
  readonly origin: string;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.mp4': 'video/mp4',
};

export async function serveFiles(mounts: Mounts): Promise<FileServer> {
  const prefixes = Object.keys(mounts).sort((a, b) => b.length - a.length);
  const server = createServer((request, response) => {
    answer(mounts, prefixes, request, response).catch(() => response.writeHead(500).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://localhost:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function answer(
  mounts: Mounts,
  prefixes: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  const prefix = prefixes.find((start) => path.startsWith(start));
  if (!prefix) {
    response.writeHead(404).end();
    return;
  }
  const rest = path.slice(prefix.length) || 'index.html';
  const headers = { 'content-type': TYPES[extname(rest)] ?? 'application/octet-stream' };
  const mount = mounts[prefix];
  if (typeof mount !== 'string') {
    const bytes = mount.get(rest);
    if (bytes) response.writeHead(200, headers).end(bytes);
    else response.writeHead(404).end();
    return;
  }
  const file = join(mount, normalize(`/${rest}`));
  const size = (await stat(file).catch(() => undefined))?.size;
  if (size === undefined || file.endsWith('/')) {
    response.writeHead(404).end();
    return;
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  if (!range) {
    response.writeHead(200, { ...headers, 'content-length': size, 'accept-ranges': 'bytes' });
    createReadStream(file).pipe(response);
    return;
  }
  const start = Number(range[1]);
  const end = Math.min(size - 1, range[2] ? Number(range[2]) : size - 1);
  if (start > end) {
    response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    return;
  }
  response.writeHead(206, {
    ...headers,
    'content-length': end - start + 1,
    'content-range': `bytes ${start}-${end}/${size}`,
  });
  createReadStream(file, { start, end }).pipe(response);
}
