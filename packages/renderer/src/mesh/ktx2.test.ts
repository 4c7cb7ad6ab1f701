import { expect, test } from 'vitest';
import { BASIS_KINDS, basisKtx2, FOUR, plainKtx2 } from '../../tests/ktx2-samples.ts';
import { openBasis } from '../node/basis.ts';
import { decodeKtx2, readKtx2Header } from './ktx2.ts';

test.each(BASIS_KINDS)('%s is transcoded to the colours that were encoded', async (kind) => {
  const { width, height, data } = await decodeKtx2(basisKtx2(kind), openBasis);
  expect([width, height]).toEqual([8, 8]);
  const alpha = kind === 'etc1s-alpha' || kind === 'uastc';
  for (let y = 0; y < 8; y++) {
    for (let x = 0; x < 8; x++) {
      const right = x >= 4;
      const expected = [...FOUR[(y >= 4 ? 2 : 0) + +right], alpha && right ? 128 : 255];
      expected.forEach((value, c) => {
        expect(Math.abs(data[4 * (8 * y + x) + c] - value), `${kind} ${x} ${y} ${c}`).toBeLessThanOrEqual(4);
      });
    }
  }
});

test.each(['none', 'zstd', 'zlib'] as const)(
  'plain colours, compressed by %s, come out as they are',
  async (scheme) => {
    const rgba = Uint8Array.from({ length: 3 * 5 * 4 }, (_, i) => (i * 37) % 256);
    const four = await decodeKtx2(plainKtx2({ width: 3, height: 5, data: rgba, scheme }), openBasis);
    expect(four).toEqual({ width: 3, height: 5, data: rgba });
    const rgb = rgba.filter((_, i) => i % 4 < 3);
    const three = await decodeKtx2(plainKtx2({ width: 3, height: 5, data: rgb, scheme }), openBasis);
    expect([...three.data]).toEqual(Array.from(rgba, (value, i) => (i % 4 < 3 ? value : 255)));
  },
);

test('a stream that unpacks to another length is refused', async () => {
  for (const scheme of ['zstd', 'zlib'] as const) {
    const file = plainKtx2({ width: 2, height: 2, data: new Uint8Array(16), scheme });
    const view = new DataView(file.buffer);
    for (const width of [1, 4]) {
      view.setUint32(20, width, true);
      view.setUint32(96, width * 8, true);
      await expect(decodeKtx2(file, openBasis)).rejects.toThrow(`its ${scheme} stream does not unpack to`);
    }
  }
});

const plain = () => plainKtx2({ width: 2, height: 2, data: new Uint8Array(16) });
const set = (at: number, value: number, make = plain) => {
  const file = make();
  new DataView(file.buffer).setUint32(at, value, true);
  return file;
};
const lz = () => basisKtx2('etc1s');
const keyed = (metadata: Record<string, string>) =>
  plainKtx2({ width: 1, height: 1, data: new Uint8Array(4), metadata });

test.each<[string, Uint8Array, string]>([
  ['nothing after the mark', plain().subarray(0, 12), 'no whole KTX2'],
  ['another mark', set(0, 0), 'no whole KTX2'],
  ['no width', set(20, 0), 'is 0x2x0, 0 layers, 1 faces, expected one flat picture'],
  ['a volume', set(28, 4), 'is 2x2x4'],
  ['an array', set(32, 2), '2 layers'],
  ['a cube', set(36, 6), '6 faces'],
  ['levels without end', set(40, 0xffffffff), 'has 4294967295 levels'],
  ['a list of levels past the end', set(40, 2), 'its list of levels ends past'],
  ['another compression', set(44, 9), 'is compressed by scheme 9'],
  ['an odd format', set(12, 97), 'has the Vulkan format 97; save it as Basis Universal'],
  ['metadata past the end', set(60, 5000), 'its metadata ends past'],
  ['a level past the end', set(80, 5000), 'its level 0 ends past'],
  ['a level before the start', set(80, 8), 'its level 0 ends past'],
  ['a size beyond any file', set(92, 1), 'its level 0 ends past'],
  ['an empty level', set(88, 0), 'its level 0 is empty'],
  ['more pixels than bytes', set(20, 8000), 'its level 0 holds 16 bytes, expected 64000'],
  ['blocks that promise more', set(96, 1 << 30, () => basisKtx2('uastc-zstd')), 'holds 1073741824 bytes'],
  ['codebooks past the end', set(0xb8 + 4, 5000, lz), 'its codebooks take 5094 bytes of 137'],
  ['a slice past the end', set(0xb8 + 20 + 8, 5000, lz), 'a slice of level 0 ends past it'],
  ['BasisLZ of nothing', set(44, 1), 'is 4 compressed by basis-lz'],
  ['rows from below', keyed({ KTXorientation: 'ru' }), 'has its rows turned (KTXorientation "ru"'],
  ['channels swapped', keyed({ KTXorientation: 'rd', KTXswizzle: 'bgra' }), 'has its channels swapped'],
])('%s', (_, file, problem) => {
  expect(() => readKtx2Header(file)).toThrow(problem);
});

test('damaged blocks end in an error or in pixels, never in the next picture', async () => {
  for (let seed = 1; seed < 12; seed++) {
    const file = lz();
    file[185 + ((seed * 53) % (file.length - 185))] ^= seed;
    await decodeKtx2(file, openBasis).catch((error: Error) => expect(error.message).not.toContain('\n'));
  }
  expect((await decodeKtx2(lz(), openBasis)).data[0]).toBeGreaterThan(250);
});
