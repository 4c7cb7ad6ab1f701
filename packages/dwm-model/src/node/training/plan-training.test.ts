/** The plan of a training, against what it takes. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COGVIDEOX } from '../../cogvideox/family.ts';
import { planDevice, planningDevice } from '../../memory/devices.ts';
import { planTrainStep } from '../../training/train-step.ts';
import { planDwmTask } from './dwm-task.ts';
import { planTraining } from './plan-training.ts';
import { stepOptions } from './step-options.ts';
import { TINY_MODEL, type TinyRun, tinyOptions, tinyRun } from './testing.ts';
import { train } from './trainer.ts';

const DWM_TINY = join(import.meta.dirname, '../../../../../models/dwm-tiny');

let tiny: TinyRun;
beforeAll(async () => {
  tiny = await tinyRun();
});
afterAll(() => rm(tiny.folder, { recursive: true }));

test.each([
  ['lora', {}],
  ['full', { mode: 'full', gradient_accumulation_steps: 2, ema_decay: 0.9 }],
])('%s: the peak is the plan, within 5%%', async (name, training) => {
  const config = tiny.config(name, { ...training, max_train_steps: 1 });
  let device: Device | undefined;
  let planned = 0;
  await train({
    ...tinyOptions(config),
    async openDevice() {
      device = await openNodeDevice({ adapter: 'null' });
      return device;
    },
    onEvent(event) {
      if (event.kind === 'plan') planned = event.plan.bytes;
    },
  });
  expect(Math.abs(device!.memory.peak / planned - 1)).toBeLessThan(0.05);
});

test.each([
  ['all blocks alike', {}],
  ['one block alone', { lora_target_modules: ['transformer_blocks.3.attn1.to_q'] }],
  ['more of one block', { trainable_parameter_patterns: ['transformer_blocks.3.ff'] }],
])('a network of many blocks is planned as it is: %s', async (_, training) => {
  const folder = await openDirectory(DWM_TINY);
  const config = tiny.config('blocks', training);
  const target = planDevice('h200');
  const task = await planDwmTask({ config, folder, family: COGVIDEOX });
  expect(task.blocks).toBeGreaterThan(3);
  const whole = task.step(task.blocks);
  const { bytes } = planTrainStep(
    planningDevice(target),
    whole.trainable,
    whole.loss,
    stepOptions(config, whole),
  );
  const { stages } = await planTraining(config, folder, target);
  const { stays, own } = stages.find(({ stage }) => stage === 'step')!;
  expect(stays).toBe(task.weightBytes);
  expect(Math.abs(own / bytes - 1)).toBeLessThan(0.01);
});

test('what does not fit is refused with what fits, before any weight is read', async () => {
  const folder = await openDirectory(TINY_MODEL);
  const config = tiny.config('short', { mode: 'full', batch_size: 2 });
  const { bytes } = await planTraining(config, folder, planDevice('h200'));
  const target = { ...planDevice('h200'), budget: 0.9 * bytes };
  await expect(planTraining(config, folder, target)).rejects.toThrow(
    /^h200: training needs \S+ MB, but the budget is \S+ MB; choose `override: training\..*`, which takes \S+ MB$/,
  );
  await expect(planTraining(config, folder, { ...target, budget: 1e4 })).rejects.toThrow(
    /choose a smaller model, or a device with more memory$/,
  );
});

test.each([
  [{}, { height_buckets: [24] }, 'data.height_buckets: expected a multiple of 16, got 24'],
  [{ mode: 'full' }, { width_buckets: [20] }, 'data.width_buckets: expected a multiple of 16, got 20'],
  [
    { mode: 'decoder', hand_dropout_prob: 0 },
    { frame_buckets: [9], height_buckets: [24] },
    'data.height_buckets: expected a multiple of 16, got 24',
  ],
  [{ custom_settings: { random_flip: true } }, {}, 'training.custom_settings.random_flip: is not supported'],
  [{ conditioning_mode: 'i2v' }, {}, 'training.conditioning_mode: i2v is for generating'],
])('%o with %o is refused', async (training, data, message) => {
  const config = tiny.config('refused', training);
  const given = { ...config, data: { ...config.data, ...data } };
  const folder = await openDirectory(TINY_MODEL);
  await expect(planTraining(given, folder, planDevice('h200'))).rejects.toThrow(message);
});

test('another pipeline than the base model has is refused, with the name of the experiment', async () => {
  const config = { ...tiny.config('refused'), pipeline: { type: 'wan2.1_fun_inp' } };
  const folder = await openDirectory(TINY_MODEL);
  await expect(planTraining(config, folder, planDevice('h200'), 'x.yaml')).rejects.toThrow(
    /^x\.yaml: pipeline\.type: /,
  );
});
