import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
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
const contentRequests = () => hub.seen.filter(({ range }) => range && range !== 'bytes=0-0');
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
    hub.sent = (_, bytes) => Buffer.concat([bytes, Buffer.alloc(1e6)]);
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
      'x has checksum "none", expected 40 hex digits',
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
