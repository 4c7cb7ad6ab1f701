import { DeviceTensor } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { relativeError } from '@dwm/core-tensor/testing';
import { expect, test } from 'vitest';
import { normals } from '../pipeline/noise.ts';
import { applyRecipe, fromConfig, SCHEDULER_NAMES, type Slot } from './index.ts';
import { DeviceSteps } from './on-device.ts';

const device = await openNodeDevice();

const FIELDS = {
  ...{ num_train_timesteps: 1000, beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' },
  ...{ timestep_spacing: 'trailing', shift: 3, flow_shift: 3, solver_order: 3, clip_sample: false },
};
/** Odd, so that no row ends where four lanes do. */
const SHAPE = [1, 3, 5, 7, 3];
const COUNT = 3 * 5 * 7 * 3;

test.each(SCHEDULER_NAMES)(
  '%s on the device equals its recipes on the host, and nothing comes back',
  async (name) => {
    const flow = name.startsWith('Flow');
    const fields = { ...FIELDS, prediction_type: flow ? 'flow_prediction' : 'v_prediction' };
    const schedule = fromConfig(
      { ...fields, ...(flow && { solver_order: 2 }) },
      'scheduler_config.json',
      name,
    ).schedule(6);
    const start = normals(1, 0, COUNT);
    const slots: Partial<Record<Slot, Float32Array>> = { sample: start };
    const outputs = schedule.steps.map((_, i) => normals(1, 1 + i, COUNT));
    const steps = new DeviceSteps(device, schedule, DeviceTensor.from(device, start, SHAPE, 'f32'));
    const before = { ...device.traffic };
    let noises = 0;
    for (const [i, step] of schedule.steps.entries()) {
      const noise = step.needsNoise ? normals(1, 20 + i, COUNT) : undefined;
      if (noise) noises++;
      Object.assign(slots, { modelOutput: outputs[i], noise });
      applyRecipe(step, slots);
      slots.sample = slots.next!.slice();
      const output = DeviceTensor.from(device, outputs[i], SHAPE, 'f32');
      await steps.step(i, output, noise);
      output.destroy();
    }
    expect(device.traffic.downloads).toBe(before.downloads);
    expect(device.traffic.uploads).toBe(before.uploads + 6 + noises);
    expect(
      relativeError((await steps.preview.read()) as Float32Array, slots.x0 ?? slots.sample!),
    ).toBeLessThan(3e-6);
    const last = steps.release();
    expect(relativeError((await last.read()) as Float32Array, slots.sample!)).toBeLessThan(3e-6);
    last.destroy();
  },
);
