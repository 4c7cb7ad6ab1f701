/** Kernels of every family, run in grids that had to be folded in two and three dimensions, give the same bits. */
import { bytesOf, type DeviceCaps, elementCount, TooLargeError } from '@dwm/kernels-wgsl';
import { foldGrid } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { type Plan, PlanTooLargeError, planProgram } from '../plan/plan.ts';
import { Program } from '../program.ts';
import { type HostData, type Precision, spec, type TensorSpec } from '../tensor.ts';
import { seeded } from '../testing.ts';
import { matmul } from './matmul.ts';
import { EVERY_OP, type EveryOp } from './testing/every-op.ts';
import { runOp } from './testing.ts';

const device = await openNodeDevice();
const { caps } = device;

const narrow = (from: DeviceCaps, maxComputeWorkgroupsPerDimension: number): DeviceCaps => ({
  ...from,
  limits: { ...from.limits, maxComputeWorkgroupsPerDimension },
});

test('a folded grid holds all of its workgroups and few more, and keeps the order of those', () => {
  for (const limit of [1, 2, 3, 7, 100, 65535]) {
    for (let count = 1; count <= Math.min(limit ** 3, 2 ** 32); count += 1 + Math.floor(count / 3)) {
      const [x, y, z] = foldGrid([count, 1, 1], narrow(caps, limit));
      expect(Math.max(x, y, z)).toBeLessThanOrEqual(limit);
      expect(x * y * z).toBeGreaterThanOrEqual(count);
      // A row and a layer too many at the most.
      expect(x * y * z - count).toBeLessThan(Math.max(1, x * y + y * z));
    }
  }
  expect(foldGrid([5, 4, 3], narrow(caps, 5))).toEqual([5, 4, 3]);
  expect(() => foldGrid([5, 4, 3], narrow(caps, 3))).toThrow(TooLargeError);
});

function randomInputs(inputs: EveryOp['inputs']): Record<string, HostData> {
  const random = seeded(7);
  const values = ({ shape, dtype }: TensorSpec): HostData => {
    const count = elementCount(shape);
    if (dtype === 'u32') return Uint32Array.from({ length: count }, () => Math.floor(random() * 9));
    if (dtype === 'bf16') return Uint16Array.from({ length: count }, () => 0x3c00 + random() * 0x300);
    if (dtype === 'f16') return Uint16Array.from({ length: count }, () => 0x2c00 + random() * 0x1000);
    // Bytes that are finite in every form of eight bits, and pairs of four.
    if (bytesOf(dtype) <= 1)
      return Uint8Array.from({ length: count * bytesOf(dtype) }, () => random() * 0x70);
    return Float32Array.from({ length: count }, () => random() - 0.3);
  };
  return Object.fromEntries(Object.entries(inputs).map(([name, each]) => [name, values(each)]));
}

async function results(plan: Plan, inputs: EveryOp['inputs']): Promise<Uint8Array[]> {
  const program = await Program.build<Record<string, TensorSpec>, ReturnType<EveryOp['make']>>(
    device,
    plan,
    inputs,
  );
  const outputs = await program.run(randomInputs(inputs));
  const read = await Promise.all(Object.values(outputs).map((tensor) => tensor.read()));
  program.destroy();
  return read.map(({ buffer, byteLength }) => new Uint8Array(buffer, 0, byteLength));
}

/** The plan with the least limit that it can be folded to, and whether anything is. */
function foldedPlan({ make }: EveryOp, from: DeviceCaps, precision: Precision, limits: readonly number[]) {
  for (const limit of limits) {
    try {
      return { limit, plan: planProgram(make(), { caps: narrow(from, limit) }, precision) };
    } catch (error) {
      expect(error).toBeInstanceOf(PlanTooLargeError);
    }
  }
  throw new Error('not even folded');
}

/** Kernels whose grid and index are those of another one that is tried. */
const LIKE_ANOTHER = / b?f16$|^attention (36|64|128)|^conv 16|^matmul 65|^quantized (i8|e4|e5)/;

const KINDS: Record<string, [DeviceCaps, Precision]> = {
  'this device': [caps, 'f32'],
  'this device, f16': [caps, 'f16'],
  // The kernels of GPUs, as far as this device runs them too.
  'a GPU without subgroups': [
    {
      ...caps,
      adapter: { ...caps.adapter, kind: 'hardware' },
      features: { ...caps.features, subgroups: false, subgroupMinSize: 0, subgroupMaxSize: 0 },
    },
    'f32',
  ],
};

test.each(Object.keys(KINDS))('%s', { timeout: 400_000 }, async (kind) => {
  const [from, precision] = KINDS[kind];
  let folded = 0;
  let deep = 0;
  for (const [name, op] of Object.entries(EVERY_OP)) {
    if (LIKE_ANOTHER.test(name)) continue;
    const whole = planProgram(op.make(), { caps: from }, precision);
    const want = await results(whole, op.inputs);
    const { limit, plan } = foldedPlan(op, from, precision, [2, 3, 5, 7, 13, 29]);
    const changed = plan.dispatches.filter(
      ({ workgroups }, i) => workgroups.join() !== whole.dispatches[i].workgroups.join(),
    );
    folded += changed.length;
    deep += changed.filter(({ workgroups }) => workgroups[2] > 1).length;
    expect(await results(plan, op.inputs), `${name}, at most ${limit}`).toEqual(want);
  }
  expect(folded).toBeGreaterThan(20);
  expect(deep).toBeGreaterThan(3);
});

test('matmul of more rows than 65,535 tiles hold', { timeout: 200_000 }, async () => {
  const rows = 2_097_121;
  const a = new Float32Array(rows);
  for (let row = 0; row < rows; row++) a[row] = row % 251;
  const { y } = await runOp(
    device,
    { a: spec([rows, 1]), b: spec([1, 1]) },
    { a, b: Float32Array.of(3) },
    (given) => ({ y: matmul(given.a, given.b) }),
  );
  for (const row of [0, 1, 65_534 * 32, 65_535 * 32, rows - 1]) expect(y[row], `row ${row}`).toBe(3 * a[row]);
});

test('what cannot be folded is refused by the planner, with the step and its size', () => {
  const { make } = EVERY_OP['elementwise, whole blocks'];
  expect(() => planProgram(make(), { caps: narrow(caps, 1) })).toThrow(
    /of shape \[64,512\]: .* workgroups, but this device runs at most 1 x 1 x 1; use tiling or a smaller size/,
  );
});
