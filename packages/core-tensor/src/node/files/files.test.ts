import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError, InvalidFileError } from '../../errors.ts';
import { openCheckpoint, type SafetensorsTensor, toNumbers, writeSafetensors } from '../../files/index.ts';
import {
  openDirectory,
  openPath,
  readRegularText,
  readSafetensors,
  saveSafetensors,
  type TensorToSave,
  writeFileAtomic,
} from './index.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'dwm-files-'));
});
afterAll(() => rm(dir, { recursive: true }));

const tensor = { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } as const;

describe('openPath', () => {
  it('reads ranges, into a given buffer too', async () => {
    const path = join(dir, 'bytes');
    await writeFile(path, 'abcdefgh');
    const source = await openPath(path);
    expect(source.size).toBe(8);
    const buffer = new Uint8Array(5);
    expect(Buffer.from(await source.read(2, 3, buffer)).toString()).toBe('cde');
    expect(Buffer.from(buffer.subarray(0, 3)).toString()).toBe('cde');
    await expect(source.read(6, 3)).rejects.toThrow('bytes 6 to 9 were asked for, but the file has 8 bytes');
    await writeFile(path, 'abc');
    await expect(source.read(2, 3)).rejects.toThrow('was cut to 3 bytes while being read');
    await source.close!();
  });

  it('names what is wrong with a path', async () => {
    await expect(openPath(join(dir, 'none'))).rejects.toThrow(`${dir}/none: no such file or folder`);
    await expect(openPath(dir)).rejects.toThrow(`${dir}: is a folder, expected a file`);
  });

  it.skipIf(process.platform === 'win32')(
    'waits for nobody behind a pipe, a socket or a device',
    async () => {
      const pipe = join(dir, 'pipe');
      await promisify(execFile)('mkfifo', [pipe]);
      const socket = join(dir, 'socket');
      const server = createServer().listen(socket);
      await once(server, 'listening');
      for (const path of [pipe, socket, '/dev/null'])
        await expect(openPath(path)).rejects.toThrow(`${path}: is not a regular file`);
      for (const [path, code] of [
        [pipe, 'ENXIO'],
        [socket, 'ENXIO'],
        [dir, 'EISDIR'],
        [`${pipe}.none`, 'ENOENT'],
      ])
        await expect(readRegularText(path)).rejects.toMatchObject({ code, path });
      await expect((await openDirectory(dir)).open('pipe')).rejects.toThrow('is not a regular file');
      server.close();
      await rm(pipe);
    },
  );
});

describe('openDirectory', () => {
  it('follows links inside the folder and none that lead out', async () => {
    const root = join(dir, 'model');
    await mkdir(join(root, 'vae'), { recursive: true });
    await writeFile(join(root, 'vae/config.json'), '{}');
    await writeFile(join(dir, 'secret'), 'secret');
    await symlink('vae/config.json', join(root, 'inside.json'));
    await symlink('../secret', join(root, 'outside.json'));
    const folder = await openDirectory(root);
    const source = await folder.open('inside.json');
    expect(source.name).toBe(join(root, 'inside.json'));
    expect(source.size).toBe(2);
    await source.close!();
    await expect(folder.open('outside.json')).rejects.toThrow(/outside\.json: links to .*secret, outside/);
    await expect(folder.open('../secret')).rejects.toThrow('"../secret" is not a path inside this folder');
    await expect(folder.exists('/etc/passwd')).rejects.toThrow(InvalidFileError);
    await expect(folder.open('none.json')).rejects.toThrow(`${root}/none.json: no such file or folder`);
    expect(await folder.exists('vae/config.json')).toBe(true);
    expect(await folder.exists('vae/none.json')).toBe(false);
    await expect(openDirectory(join(dir, 'nowhere'))).rejects.toThrow('nowhere: no such file or folder');
  });

  it('opens a snapshot of the Hugging Face cache, whose files link to blobs', async () => {
    const repository = join(dir, 'models--x--y');
    const snapshot = join(repository, 'snapshots/abc');
    await mkdir(join(snapshot, 'vae'), { recursive: true });
    await mkdir(join(repository, 'blobs'));
    await writeFile(join(repository, 'blobs/1234'), writeSafetensors(new Map([['x', tensor]])));
    await writeFile(join(repository, 'refs'), 'no blob');
    await symlink('../../../blobs/1234', join(snapshot, 'vae/m.safetensors'));
    await symlink('../../refs', join(snapshot, 'refs'));
    const folder = await openDirectory(snapshot);
    const checkpoint = await openCheckpoint(folder, 'vae/m');
    expect(await checkpoint.readTensor('x')).toEqual(tensor);
    await checkpoint.close();
    await expect(folder.open('refs')).rejects.toThrow('outside');
  });
});

describe('writeFileAtomic', () => {
  it('leaves the old file and nothing else when it fails', async () => {
    const folder = join(dir, 'atomic');
    const path = join(folder, 'a/file');
    await writeFileAtomic(path, [Buffer.from('ol'), Buffer.from('d')]);
    async function* failing() {
      yield Buffer.from('new');
      throw new Error('power cut');
    }
    await expect(writeFileAtomic(path, failing())).rejects.toThrow('power cut');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(join(folder, 'a'))).toEqual(['file']);
  });
});

describe('saveSafetensors and readSafetensors', () => {
  it('writes the same bytes as writeSafetensors, streaming', async () => {
    const path = join(dir, 'saved.safetensors');
    const flags = { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) } as const;
    const metadata = { format: 'pt' };
    async function* chunks() {
      yield new Uint8Array(tensor.data.buffer, 0, 5);
      yield new Uint8Array(tensor.data.buffer, 5);
    }
    await saveSafetensors(
      path,
      new Map<string, TensorToSave>([
        ['flags', flags],
        ['x', { ...tensor, data: chunks }],
      ]),
      metadata,
    );
    const whole = new Map<string, SafetensorsTensor>([
      ['flags', flags],
      ['x', tensor],
    ]);
    expect(new Uint8Array(await readFile(path))).toEqual(writeSafetensors(whole, metadata));
    expect(await readSafetensors(path)).toEqual(whole);
  });

  it('keeps the old file when a stream is too short', async () => {
    const path = join(dir, 'kept.safetensors');
    await saveSafetensors(path, new Map([['x', tensor]]));
    const data = async function* () {
      yield new Uint8Array(15);
    };
    const save = saveSafetensors(path, new Map([['x', { ...tensor, data }]]));
    await expect(save).rejects.toThrow(InvalidArgumentError);
    await expect(save).rejects.toThrow('tensor "x": dtype and shape take 16 bytes, its data has 15');
    expect((await readSafetensors(path)).get('x')).toEqual(tensor);
  });

  it('names a truncated file', async () => {
    const path = join(dir, 'cut.safetensors');
    await writeFile(path, writeSafetensors(new Map([['x', tensor]])).subarray(0, -1));
    await expect(readSafetensors(path)).rejects.toThrow(
      /cut\.safetensors: truncated: tensor "x" ends at byte \d+/,
    );
  });
});

describe('streaming a checkpoint of 1 GiB', () => {
  it('needs a heap of 64 MB and hardly more memory than one chunk', async () => {
    // Sparse: the data is a hole in the file, so it takes no disk and reads as zeros.
    const path = join(dir, 'large.safetensors');
    const count = 2 ** 27;
    const head = JSON.stringify({
      a: { dtype: 'F32', shape: [count], data_offsets: [0, 4 * count] },
      b: { dtype: 'BF16', shape: [2, count], data_offsets: [4 * count, 8 * count] },
    });
    const file = await open(path, 'w');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(head.length));
    await file.write(Buffer.concat([length, Buffer.from(head)]));
    await file.truncate(8 + head.length + 8 * count);
    await file.close();

    const root = resolve(import.meta.dirname, '../..');
    const script = `
      import { openPath } from '${root}/node/files/path-source.ts';
      import { openSafetensors } from '${root}/files/checkpoint.ts';
      const checkpoint = await openSafetensors(await openPath(${JSON.stringify(path)}));
      const before = process.memoryUsage().rss;
      let peak = 0, total = 0;
      for (const name of checkpoint.tensors.keys()) {
        for await (const { bytes } of checkpoint.streamTensor(name)) {
          total += bytes.byteLength;
          peak = Math.max(peak, process.memoryUsage().rss);
        }
      }
      console.log(JSON.stringify({ total, growth: peak - before }));`;
    const node = ['--max-old-space-size=64', '--import', 'tsx', '--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, node, { cwd: root });
    const { total, growth } = JSON.parse(stdout) as { total: number; growth: number };
    expect(total).toBe(8 * count);
    // Two buffers of 4 MiB (one per tensor, until collected) and what the runtime itself adds.
    expect(growth).toBeLessThan(32 * 2 ** 20);
  }, 30_000);
});

const shared = process.env.DWM_SHARED ?? resolve(import.meta.dirname, '../../../../../../shared');
const fixtures = join(shared, 'fixtures');

describe('files of the reference implementation', () => {
  beforeEach(({ skip }) => skip(!existsSync(fixtures), 'skipped, no shared data'));

  it('reads every fixture and writes it back unchanged', async () => {
    const paths = (await readdir(fixtures, { recursive: true })).filter((path) =>
      path.endsWith('.safetensors'),
    );
    expect(paths.length).toBeGreaterThan(10);
    for (const path of paths) {
      const tensors = await readSafetensors(join(fixtures, path));
      const copy = join(dir, 'copy.safetensors');
      await saveSafetensors(copy, tensors);
      const again = await readSafetensors(copy);
      expect([...again.keys()]).toEqual([...tensors.keys()]);
      for (const [name, { dtype, shape, data }] of again) {
        expect({ dtype, shape }).toEqual({
          dtype: tensors.get(name)!.dtype,
          shape: tensors.get(name)!.shape,
        });
        // Compared as bytes: structural equality takes seconds on large arrays.
        const bytes = (array: ArrayBufferView) =>
          Buffer.from(array.buffer, array.byteOffset, array.byteLength);
        expect(bytes(data).equals(bytes(tensors.get(name)!.data)), name).toBe(true);
      }
    }
  });

  it('reads known values', async () => {
    const tensors = await readSafetensors(join(fixtures, 'schedulers/io.safetensors'));
    const timesteps = toNumbers(tensors.get('cog_ddim_snr1_n10.timesteps')!);
    expect(timesteps).toEqual([999, 899, 799, 699, 599, 499, 399, 299, 199, 99]);
  });

  it('opens the sharded text encoder', async () => {
    const checkpoint = await openCheckpoint(await openDirectory(join(fixtures, 't5/text_encoder')), 'model');
    const files = new Set([...checkpoint.tensors.values()].map((entry) => entry.file.split('/').at(-1)));
    expect(files).toEqual(new Set(['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']));
    const name = [...checkpoint.tensors.keys()].at(-1)!;
    const { shape, data } = await checkpoint.readTensor(name);
    expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
    await checkpoint.close();
  });
});
