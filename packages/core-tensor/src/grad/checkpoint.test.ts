import { expect, test } from 'vitest';
import { DeviceTensor } from '../device-tensor.ts';
import { add, checkpoint, gelu, grad, linear, mean, mul, parameter, silu, type Tensor } from '../index.ts';
import { openNodeDevice } from '../node/index.ts';
import { runOp } from '../ops/testing.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { spec } from '../tensor.ts';
import { randomNormals, seeded } from '../testing.ts';

const device = await openNodeDevice();
const LAYERS = 12;
const [ROWS, WIDTH] = [64, 24];

const random = seeded(4);
const weights = Array.from({ length: LAYERS }, () => {
  const make = (shape: number[]) =>
    DeviceTensor.from(
      device,
      randomNormals(shape[0] * shape[1], random).map((w) => w / 5),
      shape,
      'f32',
    );
  return { up: make([4 * WIDTH, WIDTH]), down: make([WIDTH, 4 * WIDTH]) };
});
const x = randomNormals(ROWS * WIDTH, random);
const inputs = { x: spec([ROWS, WIDTH]) };

type Block = (x: Tensor, layer: number) => Tensor;
/** Makes new symbols for its weights each time, as models do. */
const block: Block = (h, layer) => {
  const { up, down } = weights[layer];
  return add(h, linear(gelu(linear(h, parameter(up))), parameter(down)));
};
const recomputed: Block = (h, layer) => checkpoint((y: Tensor) => block(y, layer), [h]);
/** Two levels: groups of three blocks, each of them checkpointed. */
const nested = (h: Tensor): Tensor => {
  let out = h;
  for (let at = 0; at < LAYERS; at += 3) {
    out = checkpoint((y: Tensor) => recomputed(recomputed(recomputed(y, at), at + 1), at + 2), [out]);
  }
  return out;
};
const stack = (layer: Block) => (h: Tensor) => {
  let out = h;
  for (let at = 0; at < LAYERS; at++) out = layer(out, at);
  return out;
};

const step = (model: (h: Tensor) => Tensor) => (t: { x: Tensor }) => {
  const out = model(t.x);
  const loss = mean(mul(out, out), [0, 1]);
  const wrt = [t.x, ...weights.flatMap(({ up, down }) => [parameter(up), parameter(down)])];
  return { loss, ...Object.fromEntries(grad(loss, wrt).map((g, k) => [`d${k}`, g])) };
};

test.each([
  ['every block', stack(recomputed), 1.2],
  ['two levels', nested, 1.4],
])('%s: less than 45% of the memory, the same bits', async (_, model, work) => {
  const plain = planProgram(trace(inputs, step(stack(block))), device);
  const frugal = planProgram(trace(inputs, step(model)), device);
  expect(frugal.memory.arena / plain.memory.arena).toBeLessThan(0.45);
  expect(frugal.cost.flops / plain.cost.flops).toBeLessThan(work);
  const want = await runOp(device, inputs, { x }, step(stack(block)));
  expect(await runOp(device, inputs, { x }, step(model))).toEqual(want);
});

test('several inputs and outputs, one of them unused; weights from outside', async () => {
  const values = { a: x.slice(0, 12), b: x.slice(12, 24), w: x.slice(24, 40) };
  const shapes = { a: spec([3, 4]), b: spec([3, 4]), w: spec([4, 4]) };
  const fn = (frugal: boolean) => (t: Record<'a' | 'b' | 'w', Tensor>) => {
    const region = (a: Tensor, b: Tensor) => [linear(silu(a), t.w), mul(a, b), silu(b)];
    const [p, q] = frugal ? checkpoint(region, [t.a, mul(t.b, 2)]) : region(t.a, mul(t.b, 2));
    const [da, db, dw] = grad(mean(mul(add(p, q), q), [0, 1]), [t.a, t.b, t.w]);
    return { da, db, dw };
  };
  expect(await runOp(device, shapes, values, fn(true))).toEqual(
    await runOp(device, shapes, values, fn(false)),
  );
});

test('a tensor that never leaves its checkpoint has no gradient', () => {
  expect(() =>
    trace(inputs, (t) => {
      let inside = t.x;
      const out = checkpoint(
        (h: Tensor) => {
          inside = silu(h);
          return silu(inside);
        },
        [t.x],
      );
      return { g: grad(mean(out, [0, 1]), [inside])[0] };
    }),
  ).toThrow('inside a checkpoint');
});
