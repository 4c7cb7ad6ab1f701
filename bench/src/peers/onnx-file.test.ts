/** The encoder is right when onnxruntime reads what it wrote and computes what was meant. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { transpose, withPast } from './layout.ts';
import { encodeOnnx } from './onnx-file.ts';

test('onnxruntime reads every kind of attribute, initializer and domain', async () => {
  const file = encodeOnnx({
    nodes: [
      { op: 'Reshape', inputs: ['x', 'shape'], output: 'rows' },
      { op: 'Gemm', inputs: ['rows', 'b'], output: 'y', attributes: { transB: 1, alpha: { float: 0.5 } } },
      { op: 'Transpose', inputs: ['y'], output: 'turned', attributes: { perm: [1, 0] } },
      { op: 'QuickGelu', inputs: ['turned'], attributes: { alpha: { float: 0 } }, domain: 'com.microsoft' },
    ],
    inputs: { x: [6] },
    initializers: {
      shape: { shape: [2], data: [-1, 3] },
      b: { shape: [2, 3], data: Float32Array.of(1, 0, 0, 0, 2, -1) },
    },
    output: [2, 2],
  });
  const session = await InferenceSession.create(file, { executionProviders: ['cpu'] });
  const x = new Tensor('float32', Float32Array.of(1, 2, 3, 4, 5, 6), [6]);
  const { output } = await session.run({ x });
  // x · sigmoid(0 · x) halves once more.
  expect(output.dims).toEqual([2, 2]);
  expect([...(output.data as Float32Array)]).toEqual([0.25, 1, 0.25, 1]);
});

test('transpose is NumPy’s', () => {
  const data = Float32Array.from({ length: 24 }, (_, i) => i);
  const out = transpose(data, [2, 3, 4], [2, 0, 1]);
  for (let a = 0; a < 2; a++)
    for (let b = 0; b < 3; b++)
      for (let c = 0; c < 4; c++) expect(out[c * 6 + a * 3 + b]).toBe(data[a * 12 + b * 4 + c]);
});

test('cached frames come first', () => {
  expect([...withPast(Float32Array.of(3, 4), Float32Array.of(1, 2))]).toEqual([1, 2, 3, 4]);
});
