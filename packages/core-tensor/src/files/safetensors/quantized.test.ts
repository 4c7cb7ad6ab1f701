/** Scales that become f32, and one of them the scales of every row. */
import { expect, test } from 'vitest';
import { bytesSource } from '../byte-source.ts';
import { openSafetensors } from '../checkpoint.ts';
import { toBfloat16 } from './convert.ts';
import type { SafetensorsTensor } from './dtypes.ts';
import { writeSafetensors } from './writer.ts';

test.each([
  ['one for each row', [3, 1], [0.5, 2, -4], [0.5, 2, -4]],
  ['one for all', [], [0.5], [0.5, 0.5, 0.5]],
])('scales in bf16, %s', async (_, shape, given, made) => {
  const tensors = new Map<string, SafetensorsTensor>([
    ['x.weight', { dtype: 'I8', shape: [3, 8], data: new Int8Array(24) }],
    ['x.weight_scale', { dtype: 'BF16', shape, data: toBfloat16(Float32Array.from(given)) }],
  ]);
  const checkpoint = await (await openSafetensors(bytesSource('m', writeSafetensors(tensors)))).inOneNaming();
  const scales = await checkpoint.readTensor('x.weight_scale');
  expect(scales).toEqual({ dtype: 'F32', shape: [3, 1], data: Float32Array.from(made) });
  for await (const { bytes } of checkpoint.streamTensor('x.weight_scale'))
    expect(new Float32Array(bytes.slice().buffer)).toEqual(scales.data);
});
