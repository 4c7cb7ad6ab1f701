import { createHash, createHmac } from 'node:crypto';
import { statSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readDatasetList } from '../generate/jobs.ts';
import { createReporter } from '../report.ts';
import { temporaryFolder } from '../testing.ts';
import { fetchJobs, openDataRoot } from './data-roots.ts';
import { RemoteRoot } from './remote-root.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG';
const REGION = 'eu-central-1';

/** Signature Version 4 of a request whose address is signed, by the description of AWS. */
function signatureOf(url: URL, host: string): string {
  const given = [...url.searchParams].filter(([name]) => name !== 'X-Amz-Signature');
  const encode = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const query = given
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const request = ['GET', url.pathname, query, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const date = url.searchParams.get('X-Amz-Date')!;
  const scope = `${date.slice(0, 8)}/${REGION}/s3/aws4_request`;
  const hash = createHash('sha256').update(request).digest('hex');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${SECRET}`, date.slice(0, 8)), REGION));
  return hmac(key, ['AWS4-HMAC-SHA256', date, scope, hash].join('\n')).toString('hex');
}

/** A bucket `b` that speaks as much of S3 as reading takes. */
const files = new Map<string, Buffer>();
let asked: { path: string; range?: string; status: number }[] = [];
/** Answers to break off after so many bytes. */
let breaks = 0;
let busy = 0;
/** Requests that get no answer. */
let silent = 0;
let redirect: string | undefined;

function answer(request: IncomingMessage, response: ServerResponse) {
  const url = new URL(request.url!, `http://${request.headers.host}`);
  const { range } = request.headers;
  const end = (status: number, headers: Record<string, string> = {}, body?: Buffer) => {
    asked.push({ path: url.pathname, range, status });
    response.writeHead(status, headers);
    if (body && breaks > 0 && body.length > 100) {
      breaks--;
      response.write(body.subarray(0, 100));
      // Once they have arrived.
      const [, start = '0'] = /^bytes (\d+)/.exec(headers['Content-Range'] ?? '') ?? [];
      const timer = setInterval(() => {
        const part = statSync(join(root().folder, `${PATH}.part`), { throwIfNoEntry: false });
        if ((part?.size ?? 0) < Number(start) + 100) return;
        clearInterval(timer);
        response.destroy();
      }, 2);
    } else response.end(body);
  };
  if (silent-- > 0) return;
  if (redirect) return end(302, { Location: redirect });
  if (busy-- > 0) return end(503);
  const isSigned = () =>
    url.searchParams.has('X-Amz-Date') &&
    url.searchParams.get('X-Amz-Signature') === signatureOf(url, request.headers.host!);
  if (url.pathname.startsWith('/b/') && !isSigned()) return end(403);
  const body = files.get(decodeURIComponent(url.pathname.replace(/^\/(b|plain)\//, '')));
  if (!body) return end(404);
  const etag = `"${createHash('md5').update(body).digest('hex')}"`;
  const headers = { ETag: etag, 'Content-Length': String(body.length) };
  if (request.headers['if-none-match'] === etag) return end(304, { ETag: etag });
  const [, start] = /^bytes=(\d+)-$/.exec(range ?? '') ?? [];
  if (start === undefined || request.headers['if-range'] !== etag) return end(200, headers, body);
  const rest = body.subarray(Number(start));
  const content = `bytes ${start}-${body.length - 1}/${body.length}`;
  end(206, { ...headers, 'Content-Range': content, 'Content-Length': String(rest.length) }, rest);
}

let server: Server;
let cache: string;
let env: Record<string, string>;
beforeEach(async () => {
  cache = await temporaryFolder();
  server = createServer(answer).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  env = {
    ...{ XDG_CACHE_HOME: cache, AWS_ENDPOINT_URL_S3: endpoint, AWS_REGION: REGION },
    ...{ AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: SECRET },
  };
  [asked, breaks, busy, silent, redirect] = [[], 0, 0, 0, undefined];
  files.clear();
  files.set('set/s/videos/a b+1.mp4', Buffer.from('x'.repeat(1000)));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  await rm(cache, { recursive: true });
});
const PATH = 's/videos/a b+1.mp4';
const root = (more = {}) => new RemoteRoot('s3://b/set', { ...env, ...more });
const text = (one: RemoteRoot) => readFile(join(one.folder, PATH), 'utf8');

test('a signed file of a bucket, read once; what has changed is read anew; what is gone, goes', async () => {
  const first = root();
  expect(await Promise.all([first.fetch(PATH), first.fetch(PATH)])).toEqual([true, true]);
  expect(await text(first)).toBe('x'.repeat(1000));
  expect(asked.map(({ status }) => status)).toEqual([200]);
  await root().fetch(PATH);
  files.set(`set/${PATH}`, Buffer.from('new'));
  await root().fetch(PATH);
  expect(await text(first)).toBe('new');
  files.clear();
  expect(await root().fetch(PATH)).toBe(false);
  await expect(text(first)).rejects.toThrow();
  expect(asked.map(({ status }) => status)).toEqual([200, 304, 200, 404]);
});

test('a transfer that breaks off goes on where it was, unless the file is another one by then', async () => {
  const body = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
  files.set(`set/${PATH}`, body);
  breaks = 2;
  busy = 1;
  const one = root();
  expect(await one.fetch(PATH)).toBe(true);
  expect((await readFile(join(one.folder, PATH))).equals(body)).toBe(true);
  expect(asked.map(({ status, range }) => `${status} ${range ?? 'all'}`)).toEqual([
    '503 all',
    '200 all',
    '206 bytes=100-',
    '206 bytes=200-',
  ]);
  await rm(one.folder, { recursive: true });
  breaks = 1;
  const fetched = root().fetch(PATH);
  while (breaks > 0) await new Promise((done) => setTimeout(done, 1));
  files.set(`set/${PATH}`, Buffer.from('y'.repeat(500)));
  await fetched;
  expect(await text(one)).toBe('y'.repeat(500));
}, 30_000);

test('another key is refused, with what to check; a damaged cache is read anew; no way out of the root', async () => {
  const wrong = root({ AWS_SECRET_ACCESS_KEY: 'other' });
  await expect(wrong.fetch(PATH)).rejects.toThrow(
    `s3://b/set/${PATH}: the server answers with status 403; check AWS_ACCESS_KEY_ID`,
  );
  const one = root();
  await one.fetch(PATH);
  await writeFile(join(one.folder, PATH), 'cut');
  await root().fetch(PATH);
  expect(await text(one)).toBe('x'.repeat(1000));
  files.set('secret', Buffer.from('s'));
  expect(await one.fetch('../secret')).toBe(false);
  expect(await one.fetch('/secret')).toBe(false);
  expect(asked.some(({ path }) => path.includes('secret'))).toBe(false);
});

test('a server that falls silent is asked again', async () => {
  silent = 1;
  expect(await new RemoteRoot('s3://b/set', env, undefined, 50).fetch(PATH)).toBe(true);
});

test('neither a password nor a signature is in a message', async () => {
  const address = env.AWS_ENDPOINT_URL_S3.replace('//', '//me:secret@');
  expect(() => new RemoteRoot(address, env)).toThrow(
    /^data-root: expected an address alone, without user, \? or #$/,
  );
  expect(() => new RemoteRoot(`${env.AWS_ENDPOINT_URL_S3}/x?sig=secret`, env)).toThrow(/address alone/);
  redirect = 'ftp://127.0.0.1/';
  await expect(root().fetch(PATH)).rejects.toThrow(/mp4: redirects to ftp:/);
});

test('a list of an address without keys, and the files of its clips', async () => {
  files.set('l.txt', Buffer.from('s/videos/c.mp4\n'));
  for (const file of ['s/videos/c.mp4', 's/videos_static/c.mp4', 's/videos_hands/c.mp4'])
    files.set(file, Buffer.from(file));
  const saved = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = cache;
  try {
    const url = `${env.AWS_ENDPOINT_URL_S3}/plain`;
    const opened = (await openDataRoot(url, 'l.txt', new AbortController().signal))!;
    const { remote, list } = opened;
    const options = { dataRoot: remote.folder, layout: 'flat', promptSubdir: 'prompts' } as const;
    const jobs = await readDatasetList(list, options);
    await fetchJobs(remote, jobs, createReporter(true));
    expect(await readFile(jobs[0].handVideo, 'utf8')).toBe('s/videos_hands/c.mp4');
    await expect(readFile(jobs[0].promptFile!)).rejects.toThrow();
    await expect(openDataRoot(url, 'no.txt', new AbortController().signal)).rejects.toThrow(
      /plain\/no\.txt: is not there, and no file of this machine/,
    );
    expect(await openDataRoot('/a/folder', 'l.txt', new AbortController().signal)).toBeUndefined();
  } finally {
    if (saved === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = saved;
  }
});
