import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MATMUL_VARIANTS, type MatmulSpec } from '@dwm/kernels-wgsl';
import { expect, test } from 'vitest';
import { loadTuning, openNodeDevice, saveTuning, traceKernels } from '../node/index.ts';
import { matmul } from '../ops/matmul.ts';
import { spec } from '../ops/testing.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { choicesOf, matmulClass } from './choices.ts';
import { tuneProgram } from './tune.ts';

const device = await openNodeDevice();
const outputs = () =>
  trace({ a: spec([40, 64]), b: spec([48, 64]) }, (t) => ({ out: matmul(t.a, t.b, { transposeB: true }) }));
const matmulSpec: MatmulSpec = {
  ...{ batch: 1, m: 40, n: 48, k: 64, transposeA: false, transposeB: true, sharedB: true },
  ...{ dtypeA: 'f32', dtypeB: 'f32', dtypeOut: 'f32', halfPrecision: false, epilogue: undefined },
};

function planned(caps = device.caps) {
  const lines: string[] = [];
  const stop = traceKernels((line) => lines.push(line));
  planProgram(outputs(), caps);
  planProgram(outputs(), caps);
  stop();
  expect(lines.length).toBe(1);
  return lines[0];
}

test('measures once, keeps the choice on disk, and plans by it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dwm-tune-'));
  const path = join(folder, 'nested', 'tune.json');
  try {
    expect(planned()).toMatch(/default|only/);
    const [tuned] = await tuneProgram(device, outputs(), { budgetMs: 2000 });
    expect(tuned.key).toBe(matmulClass(matmulSpec));
    expect(tuned.ms).toBeLessThanOrEqual(tuned.defaultMs);
    expect(planned()).toContain('(tuned)');
    expect(await tuneProgram(device, outputs(), { budgetMs: 2000 })).toEqual([]);

    await saveTuning(device.caps, path);
    const again = { ...device.caps };
    await loadTuning(again, path);
    expect(choicesOf(again)).toEqual(choicesOf(device.caps));
    const other = { ...device.caps, adapter: { ...device.caps.adapter, description: 'another driver' } };
    await loadTuning(other, path);
    expect(choicesOf(other).size).toBe(0);
    expect(JSON.parse(await readFile(path, 'utf8')).version).toBe(1);
    await writeFile(path, 'damaged');
    await loadTuning(other, path);
    expect(choicesOf(other).size).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a choice that does not fit is ignored', () => {
  const caps = { ...device.caps };
  choicesOf(caps).set(matmulClass(matmulSpec), { variant: 'of an older version' });
  expect(planned(caps)).not.toContain('(tuned)');
  const [first] = MATMUL_VARIANTS.filter((variant) => variant.applies(matmulSpec, caps));
  choicesOf(caps).set(matmulClass(matmulSpec), { variant: first.name, tuning: { rows: 3 } });
  expect(planned(caps)).not.toContain('(tuned)');
});
