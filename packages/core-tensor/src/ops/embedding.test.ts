import { EMBEDDING_SHAPES, embeddingBackwardReference, embeddingReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { embedding } from './embedding.ts';
import { applyVjp, runOp } from './testing.ts';

const device = await openNodeDevice();

function example(count: number, vocabulary: number, channels: number) {
  const random = seeded(count + channels);
  const bits = new Uint32Array(randomNormals(vocabulary * channels, random).buffer).map(
    (word) => word & 0xffff0000,
  );
  return {
    // One in ten ids lies beyond the table.
    ids: Uint32Array.from({ length: count }, () => Math.floor(random() * vocabulary * 1.1)),
    /** Values that bf16 holds exactly. */
    table: new Float32Array(bits.buffer),
    half: new Uint16Array(bits.map((word) => word >>> 16)),
  };
}

const fn = ({ ids, table }: { ids: Tensor; table: Tensor }) => ({ y: embedding(ids, table) });

test.each(EMBEDDING_SHAPES)(
  '$count of $vocabulary x $channels, f32 and bf16',
  async ({ count, vocabulary, channels }) => {
    const { ids, table, half } = example(count, vocabulary, channels);
    const want = [...embeddingReference(ids, table, channels)];
    const shape = [vocabulary, channels];
    const single = await runOp(device, { ids: spec([count], 'u32'), table: spec(shape) }, { ids, table }, fn);
    expect([...single.y]).toEqual(want);
    const packed = { ids: spec([count, 1], 'u32'), table: spec(shape, 'bf16') };
    expect([...(await runOp(device, packed, { ids, table: half }, fn)).y]).toEqual(want);
  },
);

test.each([12, 13])('table, ids and output beyond one binding, %i channels', async (channels) => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 1024 } });
  const { ids, table, half } = example(300, 150, channels);
  const want = [...embeddingReference(ids, table, channels)];
  const inputs = { ids: spec([300], 'u32'), table: spec([150, channels]) };
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(20);
  expect([...(await runOp(small, inputs, { ids, table }, fn)).y]).toEqual(want);
  const packed = { ids: spec([300], 'u32'), table: spec([150, channels], 'bf16') };
  expect([...(await runOp(small, packed, { ids, table: half }, fn)).y]).toEqual(want);
  small.destroy();
});

test('ids that are not u32 are refused', () => {
  expect(() => trace({ ids: spec([3]), table: spec([4, 2]) }, fn)).toThrow(
    'embedding: expected u32 ids and a table [V, C] of floats, got f32 [3] and f32 [4,2]',
  );
});

const gradient = (t: { ids: Tensor; table: Tensor; g: Tensor }) => {
  const [none, dtable] = applyVjp(embedding(t.ids, t.table), [t.g]);
  expect(none).toBeUndefined();
  return { dtable: dtable! };
};

test.each([...EMBEDDING_SHAPES, { count: 20_000, vocabulary: 5, channels: 4 }])(
  'gradient of $count of $vocabulary x $channels',
  async ({ count, vocabulary, channels }) => {
    const { ids, table } = example(count, vocabulary, channels);
    const g = randomNormals(count * channels, seeded(3)).map((value) => value + 1);
    const inputs = {
      ids: spec([count], 'u32'),
      table: spec([vocabulary, channels]),
      g: spec([count, channels]),
    };
    const { dtable } = await runOp(device, inputs, { ids, table, g }, gradient);
    const want = embeddingBackwardReference(ids, g, vocabulary);
    expect(relativeError(dtable, want)).toBeLessThanOrEqual(2e-6);
    expect((await runOp(device, inputs, { ids, table, g }, gradient)).dtable).toEqual(dtable);
  },
);

test.each([12, 13])('gradients beyond one binding, %i channels', async (channels) => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 1024 } });
  const { ids, table } = example(250, 150, channels);
  const g = randomNormals(250 * channels, seeded(4));
  const inputs = { ids: spec([250], 'u32'), table: spec([150, channels]), g: spec([250, channels]) };
  expect(planProgram(trace(inputs, gradient), small).dispatches.length).toBeGreaterThan(20);
  const { dtable } = await runOp(small, inputs, { ids, table, g }, gradient);
  expect(relativeError(dtable, embeddingBackwardReference(ids, g, 150))).toBeLessThanOrEqual(2e-6);
  small.destroy();
});
