/**
 * Keeps the page's own files, so that it opens without a network after its first visit. `build/offline.ts` puts the
 * build's files and its version in. Weights are not kept here: the page has them in its private file system.
 */

/** What this worker uses of its global scope, of which the page's types know nothing. */
interface Scope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(name: 'install' | 'activate', listener: (event: Extendable) => void): void;
  addEventListener(name: 'fetch', listener: (event: Fetching) => void): void;
}
interface Extendable {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}

/** `first`: needed to open the page. `all`: whatever the build has, weights left out. Relative to the page. */
const BUILD: { version: string; first: string[]; all: string[] } = JSON.parse('__BUILD__');

const scope = self as unknown as Scope;
const PREFIX = 'dwm-page-';
const NAME = PREFIX + BUILD.version;
const files = new Set(BUILD.all);

scope.addEventListener('install', (event) => {
  const fill = async () => {
    const cache = await caches.open(NAME);
    await cache.addAll(BUILD.first);
    await scope.skipWaiting();
  };
  event.waitUntil(fill());
});

scope.addEventListener('activate', (event) => {
  const tidy = async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
    await scope.clients.claim();
  };
  event.waitUntil(tidy());
});

const keep = async (request: Request, key: string): Promise<Response> => {
  const answer = await fetch(request);
  if (answer.status === 200) await (await caches.open(NAME)).put(key, answer.clone());
  return answer;
};

/** Files have their content in their names: what is kept is right. */
const keptFirst = async (request: Request, key: string) => {
  const kept = await caches.match(key, { cacheName: NAME });
  // Videos are asked for by ranges: all of one is as good an answer, a part of one must not be kept as all of it.
  return kept ?? (request.headers.has('range') ? fetch(request) : keep(request, key));
};

/** The page under the name of a room: `roomPage`. */
const ROOM_PAGE = /^room-\d+\.html$/;

/** The page itself and lists may be newer on the server. */
const newestFirst = async (request: Request, key: string) =>
  keep(request, key).catch(async (error) => {
    const match = (name: string) => caches.match(name, { cacheName: NAME });
    const kept = (await match(key)) ?? (ROOM_PAGE.test(key) ? await match('index.html') : undefined);
    if (kept) return kept;
    throw error;
  });

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const { scope: base } = scope.registration;
  const url = request.url.split(/[?#]/)[0];
  if (request.method !== 'GET' || !url.startsWith(base)) return;
  const path = url.slice(base.length) || 'index.html';
  if (path === 'index.html' || ROOM_PAGE.test(path) || path.endsWith('/manifest.json'))
    event.respondWith(newestFirst(request, path));
  else if (files.has(path)) event.respondWith(keptFirst(request, path));
});
