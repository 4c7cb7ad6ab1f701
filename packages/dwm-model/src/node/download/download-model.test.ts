import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { COMMIT, FakeHub, MODEL_ID } from './fake-hub.ts';
import { DownloadError, type DownloadProgress, downloadModel } from './index.ts';

const config = Buffer.from('{"dim": 8}');
const weights = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) >> 5));

let hub: FakeHub;
let outDir: string;
beforeEach(async () => {
  hub = new FakeHub();
  hub.files.set('vae/config.json', config);
  hub.files.set('vae/a #1%.safetensors', weights);
  hub.files.set('empty.txt', new Uint8Array(0));
  vi.stubEnv('HF_ENDPOINT', `${await hub.start()}/`);
  vi.stubEnv('HF_TOKEN', '');
  outDir = await mkdtemp(join(tmpdir(), 'dwm-download-'));
});
afterEach(async () => {
  hub.stop();
  vi.unstubAllEnvs();
  await rm(outDir, { recursive: true });
});

const large = 'vae/a #1%.safetensors';
const part = () => join(outDir, `${large}.part`);
const contentRequests = () => hub.seen.filter(({ range }) => range);
const filesOnDisk = async () => (await readdir(outDir, { recursive: true })).sort();

async function errorOf(promise: Promise<unknown>): Promise<DownloadError> {
  const error = await promise.then(
    () => expect.fail('went through'),
    (e) => e,
  );
  expect(error).toBeInstanceOf(DownloadError);
  expect(error.message.split('\n')).toHaveLength(1);
  return error;
}

describe('downloadModel', () => {
  it('downloads every file, reports progress, and leaves no part behind', async () => {
    const events: DownloadProgress[] = [];
    const result = await downloadModel(MODEL_ID, { outDir, onProgress: (event) => events.push(event) });
    expect(result).toMatchObject({ dir: outDir, commit: COMMIT });
    expect(new Map(result.files.map(({ path, status }) => [path, status]))).toEqual(
      new Map([
        ['vae/config.json', 'downloaded'],
        [large, 'downloaded'],
        ['empty.txt', 'downloaded'],
      ]),
    );
    expect(await filesOnDisk()).toEqual(['empty.txt', 'vae', large, 'vae/config.json'].sort());
    expect((await readFile(join(outDir, large))).equals(weights)).toBe(true);
    expect((await readFile(join(outDir, 'vae/config.json'))).equals(config)).toBe(true);
    const totalBytes = config.byteLength + weights.byteLength;
    expect(events.at(-1)).toMatchObject({ phase: 'verify', bytes: totalBytes, totalBytes });
    expect(events.every(({ bytes }, i) => i === 0 || bytes >= events[i - 1]!.bytes)).toBe(true);
  });

  it('recognises complete files, and replaces one that was changed', async () => {
    await downloadModel(MODEL_ID, { outDir });
    await writeFile(join(outDir, 'vae/config.json'), '{"dim": 9}');
    hub.seen.length = 0;
    const { files } = await downloadModel(MODEL_ID, { outDir });
    expect(files.filter(({ status }) => status === 'downloaded').map(({ path }) => path)).toEqual([
      'vae/config.json',
    ]);
    expect(contentRequests()).toHaveLength(1);
    expect((await readFile(join(outDir, 'vae/config.json'))).equals(config)).toBe(true);
  });

  it('goes on after a cut connection and a server error, without asking for bytes twice', async () => {
    hub.failures.push({ cutAfter: 100_000 }, { status: 503 });
    await downloadModel(MODEL_ID, { outDir, include: ['*.safetensors'] });
    expect((await readFile(join(outDir, large))).equals(weights)).toBe(true);
    const ranges = contentRequests()
      .filter(({ server }) => server === 'storage')
      .map(({ range }) => range);
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBe('bytes=0-');
    const resumedAt = Number(ranges[2]!.slice('bytes='.length, -1));
    expect(resumedAt).toBeGreaterThan(0);
    expect(resumedAt).toBeLessThanOrEqual(100_000);
  });

  it('resumes the part file that an earlier run left', async () => {
    await mkdir(join(outDir, 'vae'));
    await writeFile(part(), weights.subarray(0, 123_456));
    await downloadModel(MODEL_ID, { outDir, include: [large] });
    expect(contentRequests().at(-1)!.range).toBe('bytes=123456-');
    expect(await filesOnDisk()).toEqual(['vae', large]);
    expect((await readFile(join(outDir, large))).equals(weights)).toBe(true);
  });

  it('stops at the signal, keeping the part for the next run', async () => {
    const stop = new AbortController();
    const reason = new Error('user pressed Ctrl-C');
    hub.failures.push({ cutAfter: 50_000 });
    const onProgress = ({ file, phase }: DownloadProgress) => {
      if (file === large && phase === 'download') stop.abort(reason);
    };
    await expect(
      downloadModel(MODEL_ID, { outDir, include: [large], onProgress, signal: stop.signal }),
    ).rejects.toBe(reason);
    const kept = (await readFile(part())).byteLength;
    expect(kept).toBeGreaterThan(0);
    hub.seen.length = 0;
    await downloadModel(MODEL_ID, { outDir });
    expect(contentRequests().map(({ range }) => range)).toContain(`bytes=${kept}-`);
    expect((await readFile(join(outDir, large))).equals(weights)).toBe(true);
  });

  it('starts over once when the part was of another file, or the server ignores Range', async () => {
    await mkdir(join(outDir, 'vae'));
    await writeFile(part(), Buffer.alloc(1000));
    await downloadModel(MODEL_ID, { outDir, include: [large] });
    expect((await readFile(join(outDir, large))).equals(weights)).toBe(true);
    await rm(join(outDir, large));
    await writeFile(part(), Buffer.alloc(1000));
    hub.honoursRange = false;
    await downloadModel(MODEL_ID, { outDir, include: [large] });
    expect((await readFile(join(outDir, large))).equals(weights)).toBe(true);
  });

  it('refuses corrupted files, large and small, and keeps nothing of them', async () => {
    for (const path of [large, 'vae/config.json']) {
      hub.sent = (name, bytes) =>
        name === path ? bytes.map((byte, i) => (i === 5 ? byte ^ 1 : byte)) : bytes;
      const error = await errorOf(downloadModel(MODEL_ID, { outDir, include: [path] }));
      expect(error.code).toBe('checksum-mismatch');
      expect(error.message).toContain(`${path}: the received bytes do not have the hub's`);
    }
    expect(await filesOnDisk()).toEqual(['vae']);
  });

  it('stops reading a file that does not end', async () => {
    hub.intercept = (_request, response, server) => {
      if (server === 'hub') return false;
      response.writeHead(206, { 'content-range': 'bytes 0-299999/300000' });
      response.end(Buffer.concat([weights, Buffer.alloc(1e6)]));
      return true;
    };
    const error = await errorOf(downloadModel(MODEL_ID, { outDir, include: [large] }));
    expect(error).toMatchObject({
      code: 'hub-answer',
      message: `${large}: the server sends more than the 300000 bytes listed`,
    });
  });

  it('sends the token to the hub only, and says what to do without one', async () => {
    hub.token = 'hf_secret';
    const refused = await errorOf(downloadModel(MODEL_ID, { outDir }));
    expect(refused.code).toBe('hub-access');
    expect(refused.message).toMatch(/status 401\); set HF_TOKEN to a token/);
    vi.stubEnv('HF_TOKEN', 'hf_wrong');
    expect((await errorOf(downloadModel(MODEL_ID, { outDir }))).message).toContain(
      'the token in HF_TOKEN has no access',
    );
    hub.seen.length = 0;
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    await downloadModel(MODEL_ID, { outDir });
    const storage = hub.seen.filter(({ server }) => server === 'storage');
    expect(storage.length).toBeGreaterThan(0);
    expect(storage.every(({ authorization }) => authorization === undefined)).toBe(true);
    vi.stubEnv('HF_TOKEN', 'secret');
    await expect(downloadModel(MODEL_ID, { outDir })).rejects.toThrow(
      'HF_TOKEN: expected a token that starts with "hf_"',
    );
  });

  it('names an unknown model', async () => {
    const error = await errorOf(downloadModel('owner/nothing', { outDir }));
    expect(error.code).toBe('hub-not-found');
    expect(error.message).toMatch(
      /^owner\/nothing \(main\): not found on http.* \(status 404\); check the id and the revision$/,
    );
  });

  it.each(['../evil.json', '/etc/evil', 'a/../../evil', 'a\\evil', ''])(
    'refuses the file name %j',
    async (path) => {
      hub.tree = (entries) => [...entries, { type: 'file', path, size: 1, oid: 'a'.repeat(40) }];
      const error = await errorOf(downloadModel(MODEL_ID, { outDir }));
      expect(error.message).toContain(`file name ${JSON.stringify(path)} would leave the output folder`);
      expect(await filesOnDisk()).toEqual([]);
    },
  );

  it('refuses to start what does not fit on the disk', async () => {
    hub.tree = () => [{ type: 'file', path: 'huge', size: 2 ** 52, oid: 'a'.repeat(40) }];
    const error = await errorOf(downloadModel(MODEL_ID, { outDir }));
    expect(error.code).toBe('disk-space');
    expect(error.message).toMatch(
      /needs 4503599\.63 GB, only [\d.]+ GB are free; free space or choose another folder$/,
    );
    expect(contentRequests()).toEqual([]);
  });

  it('names an unreachable hub and one that is none', async () => {
    hub.tree = () => [{ type: 'file', path: 'x', size: 1, oid: 'none' }];
    expect((await errorOf(downloadModel(MODEL_ID, { outDir }))).message).toContain(
      'x, oid: expected 40 hex digits',
    );
    hub.tree = () => undefined;
    expect((await errorOf(downloadModel(MODEL_ID, { outDir }))).message).toMatch(
      /does not answer as the hub does/,
    );
    hub.stop();
    const error = await errorOf(downloadModel(MODEL_ID, { outDir }));
    expect(error.code).toBe('network');
    expect(error.message).toMatch(
      /no connection to http.* \(ECONNREFUSED\); check the network \(and HF_ENDPOINT\)/,
    );
  });

  it('refuses arguments that cannot be right', async () => {
    for (const id of ['', 'a/b/c', '../b', 'a/..', 'a b', 'datasets/a?x']) {
      await expect(downloadModel(id, { outDir })).rejects.toThrow(InvalidArgumentError);
    }
    await expect(downloadModel(MODEL_ID, { outDir, include: ['*.bin'] })).rejects.toThrow(
      'include: *.bin matches none of the 3 files, such as vae/config.json',
    );
    vi.stubEnv('HF_ENDPOINT', 'huggingface.co');
    await expect(downloadModel(MODEL_ID, { outDir })).rejects.toThrow(
      'HF_ENDPOINT: expected an address such as',
    );
  });
});

/** What hostile servers do, each ended in one line, or got round. */
describe('a hostile server', () => {
  const isTree = ({ url }: IncomingMessage) => url!.includes('/tree/');
  const sendJson = (response: ServerResponse, value: unknown, headers = {}) =>
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  const download = (include = [large]) => downloadModel(MODEL_ID, { outDir, include });

  it.each(['http://127.0.0.2', 'http://localhost', 'https://127.0.0.1'])(
    'never gets the token by a next page on %s',
    async (host) => {
      hub.token = 'hf_secret';
      vi.stubEnv('HF_TOKEN', 'hf_secret');
      const other = new FakeHub();
      const { port } = new URL(await other.start());
      hub.intercept = (request, response) => {
        if (!isTree(request)) return false;
        sendJson(response, [], { link: `<${host}:${port}${request.url}&cursor=2>; rel="next"` });
        return true;
      };
      const error = await errorOf(downloadModel(MODEL_ID, { outDir }));
      other.stop();
      expect(error.message).toContain(`the next page of its list is on another host, ${host}:${port}`);
      expect(other.seen).toEqual([]);
    },
  );

  it('never gets the token by a redirect of the list or of a file', async () => {
    hub.token = 'hf_secret';
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    hub.intercept = (request, response, server) => {
      if (server === 'storage' || !isTree(request)) return false;
      response.writeHead(307, { location: `${hub.storage}${request.url}` }).end();
      return true;
    };
    expect((await errorOf(download())).message).toContain('is not on the hub');
    hub.intercept = () => false;
    await download();
    const storage = hub.seen.filter(({ server }) => server === 'storage');
    expect(storage.length).toBeGreaterThan(0);
    expect(storage.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it('reads further pages of the hub itself, and no list without end', async () => {
    let pages = 0;
    let last = 3;
    hub.intercept = (request, response) => {
      if (!isTree(request)) return false;
      pages++;
      const oid = 'a'.repeat(40);
      const next = `<${request.url!.split('&cursor')[0]}&cursor=${pages}>; rel="next"`;
      sendJson(
        response,
        [{ type: 'file', path: `f${pages}`, size: 1, oid }],
        pages < last ? { link: next } : {},
      );
      return true;
    };
    const named = await downloadModel(MODEL_ID, { outDir, include: ['none'] }).catch((e) => e);
    expect(named.message).toContain('matches none of the 3 files, such as f1, f2, f3');
    [pages, last] = [0, Number.POSITIVE_INFINITY];
    expect((await errorOf(download())).message).toContain('its list of files has more than 100 pages');
    hub.intercept = (request, response) => {
      if (!isTree(request)) return false;
      sendJson(response, [], { link: `<${request.url}>; rel="next"` });
      return true;
    };
    expect((await errorOf(download())).message).toContain('names a page twice');
  });

  it.each([
    ['sends nothing', 0],
    ['sends a byte at a time', 1],
  ])('that %s is given up, after two repeats', async (_, bytes) => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.3');
    const timers: NodeJS.Timeout[] = [];
    hub.intercept = ({ headers }, response, server) => {
      if (server === 'hub') return false;
      if (bytes) {
        const [from] = headers.range!.match(/\d+/)!;
        const range = `bytes ${from}-${weights.length - 1}/${weights.length}`;
        response.writeHead(206, { 'content-range': range });
        timers.push(setInterval(() => response.write(Buffer.alloc(bytes)), 50));
      }
      return true;
    };
    const error = await errorOf(download()).finally(() => timers.forEach(clearInterval));
    expect(error.code).toBe('network');
    expect(error.message).toMatch(/it sent (nothing|\d+ bytes) in 0\.3 s.*HF_HUB_DOWNLOAD_TIMEOUT=60/);
    expect(contentRequests().filter(({ server }) => server === 'storage').length).toBeLessThanOrEqual(3);
  });

  it('that falls silent in its list is given up too', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.2');
    hub.intercept = (request, response) => {
      if (!isTree(request)) return false;
      response.writeHead(200, { 'content-type': 'application/json' }).write('[');
      return true;
    };
    expect((await errorOf(download())).code).toBe('network');
  });

  it('goes on where a stalled transfer was, asking for the same file by its ETag', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.3');
    let first = true;
    hub.intercept = (_request, response, server) => {
      if (server === 'hub' || !first) return false;
      first = false;
      const range = `bytes 0-${weights.length - 1}/${weights.length}`;
      response.writeHead(206, { 'content-range': range, etag: '"e"' }).write(weights.subarray(0, 70_000));
      return true;
    };
    await download();
    const [, again] = contentRequests().filter(({ server }) => server === 'storage');
    expect(again).toMatchObject({ range: 'bytes=70000-', ifRange: '"e"' });
    expect((await readFile(join(outDir, large))).equals(weights)).toBe(true);
  });

  it.each([
    [
      'another range',
      206,
      { 'content-range': 'bytes 7-299999/300000' },
      'the server sent bytes 7-299999/300000',
    ],
    ['no range', 206, {}, 'the server sent null'],
    [
      'a range of a larger file',
      206,
      { 'content-range': 'bytes 0-299999/300001' },
      'more than the 300000 bytes',
    ],
    ['a range past the end', 206, { 'content-range': 'bytes 0-300000/300000' }, 'more than the 300000 bytes'],
    ['nonsense for a range', 206, { 'content-range': '\x80' }, 'bytes from 0 were asked for'],
    [
      'a packed range',
      206,
      { 'content-range': 'bytes 0-299999/300000', 'content-encoding': 'gzip' },
      'packed (gzip)',
    ],
    ['a shorter file', 200, { 'content-length': '5' }, 'the server has 5 bytes, the hub lists 300000'],
    ['a longer file', 200, { 'content-length': '300001' }, 'more than the 300000 bytes listed'],
    ['a status of no use', 204, {}, 'answered status 204'],
    ['a redirect to nowhere', 302, { location: 'http://[' }, 'redirects to nowhere'],
    ['a redirect to a file', 302, { location: 'file:///etc/passwd' }, 'redirects to file:'],
    ['a redirect in a ring', 302, { location: '?' }, 'redirects more than 8 times'],
  ])('that answers with %s is refused', async (_, status, headers, problem) => {
    hub.intercept = (_request, response, server) => {
      if (server === 'hub') return false;
      response.writeHead(status, headers);
      if (status === 204 || status >= 300) response.end();
      else response.write(Buffer.alloc(5), () => setTimeout(() => response.destroy(), 50));
      return true;
    };
    const error = await errorOf(download());
    expect(error.message).toContain(problem);
    expect(error.message).not.toMatch(/\p{Cc}/u);
  });

  it('that packs a whole file is understood', async () => {
    await mkdir(join(outDir, 'vae'));
    await writeFile(part(), Buffer.alloc(1000));
    const packed = gzipSync(weights);
    hub.intercept = (_request, response, server) => {
      if (server === 'hub') return false;
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed);
      return true;
    };
    await download();
    expect((await readFile(join(outDir, large))).equals(weights)).toBe(true);
  });

  it.each([
    [null],
    [{}],
    ['x'],
    [[null]],
    [[5]],
    [[{ type: 'file' }]],
    [[{ type: 'file', path: 5 }]],
    [[{ type: 'file', path: 'x', size: '1', oid: 'a'.repeat(40) }]],
    [[{ type: 'file', path: 'x', size: -1, oid: 'a'.repeat(40) }]],
    [[{ type: 'file', path: 'x', size: 1e30, oid: 'a'.repeat(40) }]],
    [[{ type: 'file', path: 'x', size: 1 }]],
    [[{ type: 'file', path: 'x', size: 1, lfs: 5 }]],
    [[{ type: 'file', path: 'x', size: 1, lfs: { oid: [], size: 1 } }]],
  ])('that lists %j is refused', async (list) => {
    hub.tree = () => list;
    expect((await errorOf(downloadModel(MODEL_ID, { outDir }))).message).toContain('makes no sense');
  });

  it.each([[null], [[]], [{ sha: 5 }], [{ sha: '../..' }], ['\u001b[2J']])(
    'whose commit is %j is refused',
    async (info) => {
      hub.intercept = (request, response) => {
        if (!request.url!.includes('/revision/')) return false;
        sendJson(response, info);
        return true;
      };
      const error = await errorOf(download());
      expect(error.message).toContain('makes no sense: the commit');
      expect(error.message).not.toMatch(/\p{Cc}/u);
    },
  );

  it.each([
    ['CON', 'is a device on Windows'],
    ['vae/nul.txt', 'is a device on Windows'],
    ['Com1.safetensors', 'is a device on Windows'],
    ['a\nb', 'has control or direction characters'],
    ['\x1b[2J', 'has control or direction characters'],
    ['gpj.\u202eexe', 'has control or direction characters'],
    ['a\ud800', 'has control or direction characters'],
    ['dot.', 'begins or ends with a space or a dot'],
    ['space /x', 'begins or ends with a space or a dot'],
    ['aa:b', 'has a character that Windows has no files with'],
    ['x'.repeat(241), 'has more than 240 bytes'],
    ['é'.repeat(121), 'has more than 240 bytes'],
    [`${'x/'.repeat(501)}x`, 'has more than 1000 bytes'],
  ])('that lists a file %j is refused, unless the file is not wanted', async (path, problem) => {
    hub.tree = (entries) => [...entries, { type: 'file', path, size: 1, oid: 'a'.repeat(40) }];
    const error = await errorOf(downloadModel(MODEL_ID, { outDir }));
    expect(error.message).toContain(problem);
    expect(error.message).toContain('`include`');
    expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
    expect(await filesOnDisk()).toEqual([]);
    await download();
  });

  it.each([
    [['a', 'a'], 'would be one file'],
    [['vae/Config.json'], 'would be one file'],
    [['vae/config.json.part'], 'would be one file'],
    [['empty.txt/x'], 'would be a file and the folder of'],
  ])('that lists %j is refused: they cannot all be files', async (paths, problem) => {
    const oid = 'a'.repeat(40);
    hub.tree = (entries) => [...entries, ...paths.map((path) => ({ type: 'file', path, size: 1, oid }))];
    expect((await errorOf(downloadModel(MODEL_ID, { outDir }))).message).toContain(problem);
  });

  it('cannot write through a link that was planted', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'dwm-outside-'));
    const victim = join(outside, 'victim');
    await writeFile(victim, 'mine');
    const refused = async () => {
      const error = await download().then(
        () => expect.fail('went through'),
        (e) => e,
      );
      expect(error).toBeInstanceOf(InvalidFileError);
      expect(error.message).toMatch(/link|another file/);
      expect(await readFile(victim, 'utf8')).toBe('mine');
      expect(await readdir(outside)).toEqual(['victim']);
    };
    await mkdir(join(outDir, 'vae'));
    for (const plant of [symlink, link]) {
      await plant(victim, part());
      await refused();
      await rm(part());
    }
    await symlink(join(outside, 'none'), part());
    await refused();
    await rm(join(outDir, 'vae'), { recursive: true });
    await symlink(outside, join(outDir, 'vae'));
    await refused();
    await rm(outside, { recursive: true });
  });
});
