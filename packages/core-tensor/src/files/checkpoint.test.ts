import { describe, expect, it } from 'vitest';
import { InvalidArgumentError, InvalidFileError } from '../errors.ts';
import { blobSource, bytesSource } from './byte-source.ts';
import { Checkpoint, openCheckpoint, openSafetensors } from './checkpoint.ts';
import { filesFolder } from './model-folder.ts';
import type { SafetensorsTensor } from './safetensors/dtypes.ts';
import { writeSafetensors } from './safetensors/writer.ts';

const ramp = (count: number): SafetensorsTensor => ({
  dtype: 'F32',
  shape: [count],
  data: Float32Array.from({ length: count }, (_, i) => i * 0.5),
});

function folder(contents: Record<string, Uint8Array | string>) {
  return filesFolder(
    Object.entries(contents).map(([path, content]) => {
      const file = new File([content as BlobPart], path.split('/').at(-1)!);
      // Set by browsers for a chosen directory.
      return Object.assign(file, { webkitRelativePath: `dwm/${path}` });
    }),
  );
}

describe('openSafetensors', () => {
  it('reads single tensors, of memory and of a Blob', async () => {
    const bytes = writeSafetensors(
      new Map([
        ['x', ramp(5)],
        ['n', { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) }],
      ]),
    );
    for (const source of [bytesSource('m', bytes), blobSource(new Blob([bytes as BlobPart]), 'm')]) {
      const checkpoint = await openSafetensors(source);
      expect(await checkpoint.readTensor('x')).toEqual(ramp(5));
      expect((await checkpoint.readTensor('n')).data).toEqual(BigInt64Array.of(7n));
      await expect(checkpoint.readTensor('y')).rejects.toThrow('m: no tensor "y" (it has 2, such as "x")');
    }
  });

  it('reads rows, in any order and several times, also of a tensor that lies in another one', async () => {
    const data = Float32Array.from({ length: 16 }, (_, i) => i);
    const bytes = writeSafetensors(new Map([['x', { dtype: 'F32', shape: [4, 2, 2], data }]]));
    const plain = await openSafetensors(bytesSource('m', bytes));
    const rows = { dtype: 'F32', shape: [3, 2, 2] };
    const picked = [12, 13, 14, 15, 0, 1, 2, 3, 12, 13, 14, 15];
    expect(await plain.readRows('x', [3, 0, 3])).toEqual({ ...rows, data: Float32Array.from(picked) });
    await expect(plain.readRows('y', [0])).rejects.toThrow('no tensor "y"');
    const { begin, dtype, file } = plain.tensors.get('x')!;
    // Four columns of a table of five.
    const entry = { dtype, file, begin, end: begin + 4 * 14, shape: [3, 4], strides: [5, 1] };
    const part = new Checkpoint('m', new Map([['x', entry]]), [bytesSource('m', bytes)]);
    expect((await part.readRows('x', [2, 1])).data).toEqual(Float32Array.from([10, 11, 12, 13, 5, 6, 7, 8]));
  });

  it('streams whole elements in order through one buffer', async () => {
    const tensor = ramp(1001);
    const checkpoint = await openSafetensors(bytesSource('m', writeSafetensors(new Map([['x', tensor]]))));
    const copy = new Uint8Array(4004);
    const buffers = new Set<ArrayBufferLike>();
    let longest = 0;
    for await (const { offset, bytes } of checkpoint.streamTensor('x', 103)) {
      expect(offset % 8).toBe(0);
      copy.set(bytes, offset);
      buffers.add(bytes.buffer);
      longest = Math.max(longest, bytes.byteLength);
    }
    expect(new Float32Array(copy.buffer)).toEqual(tensor.data);
    expect(longest).toBe(96);
    expect(buffers.size).toBe(1);
  });

  it('streams nothing for an empty tensor and refuses a chunk below an element', async () => {
    const bytes = writeSafetensors(
      new Map([['e', { dtype: 'F32', shape: [0, 4], data: new Float32Array(0) }]]),
    );
    const checkpoint = await openSafetensors(bytesSource('m', bytes));
    for await (const chunk of checkpoint.streamTensor('e')) expect.fail(`chunk at ${chunk.offset}`);
    await expect(checkpoint.streamTensor('e', 7).next()).rejects.toThrow(InvalidArgumentError);
  });

  it('closes the source when the header is damaged', async () => {
    let closed = 0;
    const source = { ...bytesSource('m', new Uint8Array(3)), close: async () => void closed++ };
    await expect(openSafetensors(source)).rejects.toThrow(InvalidFileError);
    expect(closed).toBe(1);
  });
});

describe('openCheckpoint', () => {
  const one = writeSafetensors(new Map([['a', ramp(3)]]), { format: 'pt' });
  const two = writeSafetensors(
    new Map([
      ['b', ramp(4)],
      ['c', ramp(2)],
    ]),
  );
  const index = (weight_map: unknown) => JSON.stringify({ metadata: { total_size: 36 }, weight_map });
  const open = (files: Record<string, Uint8Array | string>) => openCheckpoint(folder(files), 'vae/model');

  it('opens one file', async () => {
    const checkpoint = await open({ 'vae/model.safetensors': one });
    expect(checkpoint.name).toBe('dwm/vae/model.safetensors');
    expect(checkpoint.metadata).toEqual({ format: 'pt' });
    expect(await checkpoint.readTensor('a')).toEqual(ramp(3));
  });

  it('opens shards beside their index', async () => {
    const checkpoint = await open({
      'vae/model.safetensors.index.json': index({
        c: '2.safetensors',
        a: '1.safetensors',
        b: '2.safetensors',
      }),
      'vae/1.safetensors': one,
      'vae/2.safetensors': two,
    });
    expect([...checkpoint.tensors.keys()]).toEqual(['c', 'a', 'b']);
    expect(checkpoint.tensors.get('b')!.file).toBe('dwm/vae/2.safetensors');
    expect(await checkpoint.readTensor('a')).toEqual(ramp(3));
    expect(await checkpoint.readTensor('b')).toEqual(ramp(4));
  });

  const shards = { 'vae/1.safetensors': one, 'vae/2.safetensors': two };
  it.each([
    ['neither file', {}, 'dwm: holds neither vae/model.safetensors nor vae/model.safetensors.index.json'],
    [
      'a missing shard',
      { ...shards, i: { a: '3.safetensors' } },
      'shard "3.safetensors" is missing; download the model again',
    ],
    [
      'a tensor missing in its shard',
      { ...shards, i: { a: '2.safetensors' } },
      'tensor "a" should be in "2.safetensors", which does not have it',
    ],
    [
      'a shard outside the folder',
      { ...shards, i: { a: '../secret' } },
      'weight_map["a"] must be the name of a file in this folder, found "../secret"',
    ],
    [
      'an absolute shard',
      { ...shards, i: { a: '/etc/passwd' } },
      'must be the name of a file in this folder, found "/etc/passwd"',
    ],
    ['a Windows path', { ...shards, i: { a: '..\\x' } }, 'must be the name of a file in this folder'],
    [
      'a shard that is a number',
      { ...shards, i: { a: 1 } },
      'must be the name of a file in this folder, found 1',
    ],
    [
      'a weight map that is a list',
      { ...shards, i: [] },
      'weight_map must be an object of tensor name to file, found []',
    ],
  ])('refuses %s', async (_, files: Record<string, unknown>, message) => {
    const { i, ...rest } = files;
    if (i) rest['vae/model.safetensors.index.json'] = index(i);
    rest['config.json'] = '{}';
    const error = await open(rest as Record<string, string>).then(
      () => expect.fail('was accepted'),
      (e) => e,
    );
    expect(error).toBeInstanceOf(InvalidFileError);
    expect(error.message).toContain(message);
    expect(error.message.split('\n')).toHaveLength(1);
  });

  it('refuses an index that names a tensor twice', async () => {
    const text = '{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}';
    await expect(open({ ...shards, 'vae/model.safetensors.index.json': text })).rejects.toThrow(
      'dwm/vae/model.safetensors.index.json: index has the key "a" twice',
    );
  });
});
