import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Choice, Decisions, elementCount } from '@dwm/kernels-wgsl';
import { classOf } from '@dwm/kernels-wgsl/testing';
import { afterEach, expect, test } from 'vitest';
import { grad } from '../grad/grad.ts';
import { loadTuning, openNodeDevice, resetTuning, saveTuning } from '../node/index.ts';
import { traceKernels } from '../node/trace-kernels.ts';
import { attention } from '../ops/attention.ts';
import { conv3d } from '../ops/conv.ts';
import { layerNorm } from '../ops/layer-norm.ts';
import { matmul } from '../ops/matmul.ts';
import { add, mul, silu } from '../ops/pointwise.ts';
import { sum } from '../ops/reduce.ts';
import { softmax } from '../ops/softmax.ts';
import { spec } from '../ops/testing.ts';
import { planProgram } from '../plan/plan.ts';
import { compile, Program, trace } from '../program.ts';
import type { Tensor, TensorSpec } from '../tensor.ts';
import { randomNormals, seeded } from '../testing.ts';
import { setFirstUse } from './before-use.ts';
import { tuneOnFirstUse } from './first-use.ts';
import { selfTestOnFirstUse } from './self-test.ts';
import { type Question, questionsOf, type Tuned, tune } from './tune.ts';

const device = await openNodeDevice();
const inputs = { a: spec([40, 64]), b: spec([48, 64]), c: spec([48]) };
const outputs = () => trace(inputs, (t) => ({ out: silu(add(matmul(t.a, t.b, { transposeB: true }), t.c)) }));
const plan = () => planProgram(outputs(), device);

afterEach(() => {
  device.decisions.choices.clear();
  setFirstUse(device, { tune: async () => {}, settle: async () => {} });
});

const name = ({ variant, tuning }: Choice) => `${variant} ${JSON.stringify(tuning)}`;

/** A stopwatch by which `fastest` takes 1 ms and everything else 10. */
const clockOf = (fastest: Choice) => async (choice: Choice, run: () => Promise<void>) => {
  await run();
  return name(choice) === name(fastest) ? 1 : 10;
};

async function temporary(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dwm-tune-'));
  try {
    await use(join(folder, 'nested', 'tune.json'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What a trace says of the one dispatch of the program. */
async function traced(): Promise<string> {
  const lines: string[] = [];
  const stop = traceKernels(device, (line) => lines.push(line));
  for (let i = 0; i < 2; i++) (await Program.create(device, plan(), inputs)).destroy();
  stop();
  expect(lines).toHaveLength(1);
  return lines[0];
}

test('classes: sizes in powers of two, small ones exact, what is fused left out', () => {
  const base = {
    m: 17,
    n: 1024,
    kernel: [3, 3, 1],
    scale: 0.5,
    mask: false,
    bias: undefined,
    types: { q: 'f16' },
  };
  expect(classOf('x', base)).toBe('x m=32 n=1024 kernel=3x3x1 types={q=f16}');
  expect(classOf('x', { ...base, m: 32, fusion: { shape: [9] } })).toBe(classOf('x', base));
  expect(classOf('x', { ...base, m: 33 })).not.toBe(classOf('x', base));
  expect(classOf('x', { ...base, mask: true })).toContain('mask=yes');
});

test('whichever candidate is the fastest is chosen and planned', async () => {
  const [all, ...more] = questionsOf([plan()]);
  const question = {
    ...all,
    alternatives: all.alternatives.filter((_, i, { length }) => i < 2 || i === length - 1),
  };
  expect(more).toEqual([]);
  expect(question.family).toBe('matmul');
  expect(question.alternatives.length).toBeGreaterThan(1);
  expect(await traced()).toContain('(default: ');
  const { alternatives } = question;
  for (const fastest of [alternatives[1], alternatives[alternatives.length - 1], alternatives[0]]) {
    device.decisions.choices.clear();
    const [tuned] = await tune(device, [question], { budgetMs: 60_000, time: clockOf(fastest) });
    expect(tuned.choice).toEqual(fastest);
    expect(tuned.ms).toBe(1);
    expect(tuned.defaultMs).toBe(fastest === alternatives[0] ? 1 : 10);
    expect(plan().dispatches[0].receipt).toMatchObject({ ...fastest, reason: 'tuned' });
  }
  expect(await traced()).toContain('(tuned: ');
});

const normalized = { x: spec([21, 132]), gamma: spec([132]) };
const convolved = { x: spec([1, 3, 5, 6, 9]), w: spec([2, 1, 1, 9, 10]), g: spec([1, 3, 5, 6, 10]) };

test.each<[family: string, Record<string, TensorSpec>, () => Record<string, Tensor>]>([
  ['matmul', inputs, outputs],
  [
    'layerNorm',
    normalized,
    () => trace(normalized, (t) => ({ out: layerNorm(t.x, { eps: 1e-5, gamma: t.gamma }) })),
  ],
  [
    'conv weight gradient',
    convolved,
    () =>
      trace(convolved, ({ x, w, g }) => ({ out: grad(sum(mul(conv3d(x, w), g), [0, 1, 2, 3, 4]), [w])[0] })),
  ],
])('every candidate computes the same: %s', async (family, specs, make) => {
  const planned = () => planProgram(make(), device);
  const question = questionsOf([planned()]).find((each) => each.family === family);
  const values = Object.fromEntries(
    Object.entries(specs).map(([input, { shape }]) => [
      input,
      Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i)),
    ]),
  );
  const results = [];
  for (const choice of question!.alternatives) {
    device.decisions.choices.set(question!.key, choice);
    const program = await Program.create<typeof specs, Record<string, Tensor>>(device, planned(), specs);
    expect(program.plan.steps.map(({ receipt }) => receipt?.variant)).toContain(choice.variant);
    const { out } = await program.run(values);
    results.push(await out.read());
    program.destroy();
  }
  expect(results.length).toBeGreaterThan(1);
  for (const result of results)
    for (let i = 0; i < result.length; i++) expect(result[i]).toBeCloseTo(results[0][i], 4);
});

test('what is close to the default loses to it', async () => {
  const [question] = questionsOf([plan()]);
  const time = async (choice: Choice) => (name(choice) === name(question.alternatives[0]) ? 10 : 9.7);
  const [tuned] = await tune(device, [question], { budgetMs: 60_000, time });
  expect(tuned.choice).toEqual(question.alternatives[0]);
});

test('the budget: heaviest first, nothing begun after it, nothing that cannot fit in it', async () => {
  const large = spec([96, 64]);
  const both = () =>
    planProgram(
      trace({ ...inputs, large }, (t) => ({
        small: matmul(t.a, t.b, { transposeB: true }),
        out: matmul(t.large, t.b, { transposeB: true }),
      })),
      device,
    );
  const questions = questionsOf([both()]);
  expect(questions.map(({ key }) => key.match(/ m=(\d+)/)![1])).toEqual(['128', '64']);
  let clock = 0;
  const options = {
    budgetMs: 1000,
    now: () => clock,
    time: async () => {
      clock += 100;
      return 1;
    },
    // Each answer is in use when it is told of.
    onAnswer: async ({ key, choice }: Tuned) => {
      expect(device.decisions.choices.get(key)).toBe(choice);
      told.push(key);
    },
  };
  const told: string[] = [];
  expect((await tune(device, questions, options)).map(({ key }) => key)).toEqual([questions[0].key]);
  expect(told).toEqual([questions[0].key]);

  const { step } = questions[0];
  const heavy: Question = { ...questions[0], step: { ...step, cost: { flops: 1e15, bytes: 0 } } };
  expect(await tune(device, [heavy], { budgetMs: 60_000 })).toEqual([]);
});

test('measures with a real clock; convolution and attention too where they have a choice', async () => {
  const network = () =>
    planProgram(
      trace({ x: spec([1, 2, 8, 12, 8]), w: spec([3, 3, 3, 8, 16]), q: spec([1, 40, 2, 16]) }, (t) => ({
        conv: conv3d(t.x, t.w),
        attention: attention(t.q, t.q, t.q),
      })),
      device,
    );
  for (const question of [...questionsOf([plan()]), ...questionsOf([network()])]) {
    const [tuned] = await tune(device, [question], { budgetMs: 5000 });
    expect(tuned.ms).toBeLessThanOrEqual(tuned.defaultMs);
    expect(tuned.defaultMs).toBeGreaterThan(0);
    expect(device.decisions.choices.get(question.key)).toEqual(tuned.choice);
  }
});

test('on first use: decided and saved before the program runs, never twice', async () => {
  const [question] = questionsOf([plan()]);
  const fastest = question.alternatives[1];
  const saved: (Choice | null | undefined)[] = [];
  const heard: [number, number][] = [];
  tuneOnFirstUse(device, {
    budgetMs: 60_000,
    time: clockOf(fastest),
    save: async () => {
      saved.push(device.decisions.choices.get(question.key));
    },
    onTuned: (tuned, unmeasured) => heard.push([tuned.length, unmeasured]),
  });
  for (let i = 0; i < 2; i++) {
    const program = await compile(device, inputs, (t) => ({ out: matmul(t.a, t.b, { transposeB: true }) }));
    expect(program.plan.dispatches[0].receipt).toMatchObject({ ...fastest, reason: 'tuned' });
    program.destroy();
  }
  expect(saved).toEqual([fastest]);
  expect(heard).toEqual([[1, 0]]);
});

test('measured and self-tested from cold, a run has the bits of the next, which finds it decided', () =>
  temporary(async (path) => {
    const random = seeded(9);
    const values = Object.fromEntries(
      Object.entries(inputs).map(([key, { shape }]) => [key, randomNormals(elementCount(shape), random)]),
    ) as Record<keyof typeof inputs, Float32Array>;
    const run = async () => {
      const own = await openNodeDevice();
      await loadTuning(own, { path });
      const known = own.decisions.choices.size;
      const save = () => saveTuning(own, { path });
      selfTestOnFirstUse(own, { save });
      tuneOnFirstUse(own, { budgetMs: 2000, save });
      const program = await compile(
        own,
        inputs,
        (t) => ({ out: silu(add(matmul(t.a, t.b, { transposeB: true }), t.c)) }),
        'f16',
      );
      const results = [];
      for (let i = 0; i < 2; i++) results.push(await (await program.run(values)).out.read());
      expect(results[1]).toEqual(results[0]);
      own.destroy();
      return { known, out: results[0] };
    };
    const [cold, warm] = [await run(), await run()];
    expect([cold.known, warm.known]).toEqual([0, 1]);
    expect(warm.out).toEqual(cold.out);
  }));

test('on first use: without budget, and for programs compiled from a plan, the default is decided', async () => {
  const [question] = questionsOf([plan()]);
  const choices = device.decisions.choices;
  let saves = 0;
  const save = async () => void saves++;
  tuneOnFirstUse(device, { budgetMs: 0, save });
  (await compile(device, inputs, (t) => ({ out: matmul(t.a, t.b, { transposeB: true }) }))).destroy();
  expect(choices.get(question.key)).toBeNull();
  expect(saves).toBe(1);

  choices.clear();
  tuneOnFirstUse(device, { budgetMs: 60_000, save });
  (await Program.create(device, plan(), inputs)).destroy();
  expect(choices.get(question.key)).toBeNull();
  (await compile(device, inputs, (t) => ({ out: matmul(t.a, t.b, { transposeB: true }) }))).destroy();
  expect(choices.get(question.key)).toBeNull();
  expect(saves).toBe(2);
});

test('the file: round trip, by device, and reset', () =>
  temporary(async (path) => {
    const [question] = questionsOf([plan()]);
    const choices = device.decisions.choices;
    choices.set(question.key, question.alternatives[1]).set('conv other=1', null);
    await saveTuning(device, { path });
    const again = { caps: device.caps, decisions: new Decisions() };
    expect(await loadTuning(again, { path })).toBe(2);
    expect(again.decisions.choices).toEqual(choices);

    const adapter = { ...device.caps.adapter, description: 'another driver' };
    const other = { caps: { ...device.caps, adapter }, decisions: new Decisions() };
    expect(await loadTuning(other, { path })).toBe(0);
    other.decisions.choices.set('kept', null);
    await saveTuning(other, { path });
    await resetTuning(again, { path });
    expect(again.decisions.choices.size).toBe(0);
    expect(await loadTuning(again, { path })).toBe(0);
    expect(await loadTuning(other, { path })).toBe(1);
  }));

test.each([
  ['not JSON', 'damaged'],
  ['no object', '3'],
  ['no version', '{"devices":{}}'],
  ['no devices', '{"version":2}'],
  ['a choice without a variant', '{"version":2,"devices":{"d":{"matmul":{"tuning":{}}}}}'],
  [
    'a tuning that is no number',
    '{"version":2,"devices":{"d":{"matmul":{"variant":"v","tuning":{"rows":"4"}}}}}',
  ],
])('a damaged file (%s) is ignored with one line, and written anew', (_, text) =>
  temporary(async (nested) => {
    const path = join(nested, '../..', 'tune.json');
    await writeFile(path, text);
    const lines: string[] = [];
    expect(await loadTuning(device, { path, warn: (line) => lines.push(line) })).toBe(0);
    expect(lines).toEqual([`${path}: is damaged and ignored; kernels are tuned anew`]);
    device.decisions.choices.set('matmul', null);
    await saveTuning(device, { path });
    expect(JSON.parse(await readFile(path, 'utf8')).version).toBe(2);
    expect(await loadTuning(device, { path, warn: (line) => lines.push(line) })).toBe(1);
    expect(lines).toHaveLength(1);
  }),
);

test('a choice that does not fit is ignored', () => {
  const [{ key, alternatives }] = questionsOf([plan()]);
  device.decisions.choices.set(key, { variant: 'of an older version' });
  expect(plan().dispatches[0].receipt?.reason).toBe('default');
  device.decisions.choices.set(key, { variant: alternatives[0].variant, tuning: { rows: 3 } });
  expect(plan().dispatches[0].receipt?.reason).toBe('default');
});

test('a trace names the kernel of every dispatch, of families with one kernel too', async () => {
  const lines: string[] = [];
  const stop = traceKernels(device, (line) => lines.push(line));
  const program = await compile(device, { x: spec([5, 8]) }, ({ x }) => ({ out: softmax(x) }));
  stop();
  expect(lines).toHaveLength(program.plan.dispatches.length);
  expect(lines[0]).toMatch(/^kernel softmax: softmax.* \(only\): [\d.]+ MFLOP, 0.00032 MB, [\d.]+ FLOP\/B$/);
  program.destroy();
});
