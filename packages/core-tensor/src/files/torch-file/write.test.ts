import { expect, test } from 'vitest';
import { InvalidArgumentError } from '../../index.ts';
import {
  bytesSource,
  readTorchFile,
  readZipDirectory,
  type SafetensorsTensor,
  writeTorchFile,
} from '../index.ts';

const tensor = (dtype: 'F32' | 'BF16' | 'F16' | 'F64', shape: number[], data: SafetensorsTensor['data']) =>
  ({ dtype, shape, data }) as SafetensorsTensor;

test.each([
  tensor('F32', [2, 3], Float32Array.of(0, -0, 1.5, Number.POSITIVE_INFINITY, 3e38, 1e-45)),
  tensor('BF16', [3], Uint16Array.of(1, 0x3f80, 0xff80)),
  tensor('F16', [1, 1, 2], Uint16Array.of(1, 0x7bff)),
  tensor('F64', [], Float64Array.of(Math.PI)),
  tensor(
    'F32',
    [300, 2, 110],
    Float32Array.from({ length: 66_000 }, (_, i) => i / 7),
  ),
])('what is written reads back: $dtype $shape', async (given) => {
  const bytes = writeTorchFile('00012', given);
  const back = await readTorchFile({ name: '00012.pt', bytes });
  expect([...back.keys()]).toEqual(['']);
  expect(back.get('')).toEqual(given);
  const entries = await readZipDirectory(bytesSource('x', bytes));
  expect([...entries.keys()]).toEqual(['00012/data.pkl', '00012/byteorder', '00012/data/0', '00012/version']);
  // Numbers start at a multiple of 64 bytes: 30 of the local header, its name, its extra field.
  const view = new DataView(bytes.buffer);
  const { header } = entries.get('00012/data/0')!;
  expect((header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true)) % 64).toBe(0);
});

test('the pickle is that of torch.save, but for the memo, which nothing reads back', () => {
  const bytes = writeTorchFile('x', tensor('F32', [2, 1], Float32Array.of(1, 2)));
  const text = Buffer.from(bytes).toString('latin1');
  const at = text.indexOf('\x80\x02c');
  expect(text.slice(at, text.indexOf('.PK', at) + 1)).toBe(
    '\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQ' +
      'K\0(K\x02K\x01t(K\x01K\x01t\x89ccollections\nOrderedDict\n)RtR.',
  );
});

test('what torch has no storage for is refused', () => {
  expect(() => writeTorchFile('x', { dtype: 'U8', shape: [1], data: new Uint8Array(1) })).toThrow(
    InvalidArgumentError,
  );
  expect(() => writeTorchFile('x', tensor('F32', [3], new Float32Array(2)))).toThrow(
    'cannot be stored as F32 [3]',
  );
});
