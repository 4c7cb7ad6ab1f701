/** What a training step takes of the device's memory: by its plan, as it is, and with blocks recomputed. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Device, elementCount, randomReference } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  readTransformerConfig,
  type TransformerConfig,
  transformerParameters,
} from '../transformer/index.ts';
import { batchSpecs } from './data/batch.ts';
import { dwmObjective, type ObjectiveInputs } from './objective.ts';
import { adamwOptimizer } from './optimizer.ts';
import { PackedLayout } from './packed.ts';
import { TrainStep } from './train-step.ts';
import type { Trainable } from './trainable.ts';

const GOLDEN = join(import.meta.dirname, '../../tests/golden/pipeline_e2e/transformer/config.json');

let device: Device;
let config: TransformerConfig;
beforeAll(async () => {
  device = await openNodeDevice();
  const json = JSON.parse(await readFile(GOLDEN, 'utf8'));
  config = readTransformerConfig({ ...json, num_layers: 12 }, GOLDEN);
});
afterAll(() => device.destroy());

/** Every weight of the network, drawn small. */
function trainable(): Trainable {
  const specs = transformerParameters(config);
  const layout = new PackedLayout(
    Object.fromEntries(Object.entries(specs).map(([name, { shape }]) => [name, shape])),
  );
  return {
    layout,
    initial: async () =>
      Float32Array.from(
        randomReference({ count: layout.length, distribution: 'normal', stream: 0 }, [1, 2]),
        (value) => value / 20,
      ),
    bind(packed) {
      const trained = new Map([...layout.parts.keys()].map((name) => [name, layout.part(packed, name)]));
      return { trained, weights: { get: (name) => trained.get(name)!, has: (name) => trained.has(name) } };
    },
  };
}

/** Opens a step, runs it twice, and says what it took. */
async function measured(recompute: boolean, microBatches: number) {
  const size = { channels: 16, frames: 5, height: 8, width: 12 };
  const inputs = batchSpecs(4, { size, config }, 8);
  const before = device.memory.allocated;
  device.memory.peak = before;
  const weights = trainable();
  const rates = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01 };
  const optimizer = adamwOptimizer(weights.layout.length, rates);
  const step = await TrainStep.create(
    device,
    weights,
    {
      inputs,
      loss: (weights, given) =>
        dwmObjective(config, weights, 1, given as ObjectiveInputs, { recompute }).loss,
    },
    { optimizer, maxGradNorm: 1, microBatches },
  );
  const batch = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }], i) => [
      name,
      new Float32Array(
        randomReference({ count: elementCount(shape), distribution: 'normal', stream: i }, [3, 4]),
      ),
    ]),
  ) as { [K in keyof typeof inputs]: Float32Array };
  const batches = Array.from({ length: microBatches }, () => batch);
  const losses = [await step.run(batches, 1, 1e-3), await step.run(batches, 2, 1e-3)];
  const result = {
    losses,
    planned: step.plannedBytes,
    peak: device.memory.peak - before,
    plan: step.plan,
  };
  step.destroy();
  expect(device.memory.allocated).toBe(before);
  return result;
}

test('planned and allocated agree; with 12 blocks recomputed less than 45% is needed, with the same bits', async () => {
  const whole = await measured(false, 1);
  const frugal = await measured(true, 1);
  const accumulated = await measured(true, 2);
  for (const { planned, peak } of [whole, frugal, accumulated]) {
    expect(planned / peak).toBeGreaterThan(0.9);
    expect(planned / peak).toBeLessThan(1.1);
  }
  // Weights and their gradients are counted, the optimizer's moments are not.
  expect(frugal.plan.memory.total / whole.plan.memory.total).toBeLessThan(0.45);
  expect(frugal.plan.cost.flops / whole.plan.cost.flops).toBeLessThan(1.4);
  expect(frugal.losses).toEqual(whole.losses);
}, 300_000);
