import { join } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { relativeError } from '@dwm/core-tensor/testing';
import { describe, expect, test } from 'vitest';
import { checkSchedulers } from '../../tests/fixtures/schedulers.ts';
import {
  applyRecipe,
  fromConfig,
  roundHalfEven,
  type Schedule,
  type ScheduleOptions,
  type Scheduler,
  type SchedulerName,
  type Slot,
} from './index.ts';

const golden = join(import.meta.dirname, '../../tests/golden/schedulers');

const COGVIDEOX = {
  _class_name: 'CogVideoXDDIMScheduler',
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  prediction_type: 'v_prediction',
  timestep_spacing: 'trailing',
  rescale_betas_zero_snr: true,
  snr_shift_scale: 1,
  clip_sample: false,
};
const FLOW = {
  num_train_timesteps: 1000,
  shift: 5,
  flow_shift: 5,
  solver_order: 2,
  prediction_type: 'flow_prediction',
  use_flow_sigmas: true,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear',
};

const make = (fields: object, className?: SchedulerName) =>
  fromConfig(fields, 'scheduler_config.json', className);

/** Standard normals, repeatable. */
function normals(count: number, seed: number): Float32Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 4294967297;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/**
 * Runs a schedule with a model given as a function of (scaled sample value, index, step).
 * `known`: what every step's `x0` must be, if it is known.
 */
function run(
  schedule: Schedule,
  start: Float32Array,
  model: (x: number, i: number, step: number) => number,
  known?: Float32Array,
): Float32Array {
  const slots: Partial<Record<Slot, Float32Array>> = { sample: start.slice() };
  schedule.steps.forEach((step, s) => {
    slots.modelOutput = slots.sample!.map((x, i) => model(x * step.inputScale, i, s));
    slots.noise = normals(start.length, 100 + s);
    applyRecipe(step, slots);
    if (known) expect(relativeError(slots.x0!, known)).toBeLessThan(1e-3);
    slots.sample = slots.next!.slice();
  });
  return slots.sample!;
}

describe('golden trajectories', () => {
  test('every case', async () => {
    const checks = await checkSchedulers(golden);
    expect(checks.length).toBeGreaterThan(100);
    expect(checks.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([]);
  });
});

describe('timesteps', () => {
  test('halves round to even', () => {
    expect([0.5, 1.5, 2.5, -1.5, -2.5, 937.5, 0.49, 2.51].map(roundHalfEven)).toEqual([
      0, 2, 2, -2, -2, 938, 0, 3,
    ]);
  });

  test.each([
    ['trailing', 7, [999, 856, 713, 570, 428, 285, 142]],
    ['trailing', 16, [999, 937, 874, 811, 749, 687, 624, 561, 499, 437, 374, 311, 249, 187, 124, 61]],
    ['trailing', 1, [999]],
    ['leading', 7, [852, 710, 568, 426, 284, 142, 0]],
    ['linspace', 3, [999, 500, 0]],
    ['linspace', 16, [999, 932, 866, 799, 733, 666, 599, 533, 466, 400, 333, 266, 200, 133, 67, 0]],
    ['linspace', 1, [0]],
  ])("%s, %i steps, equal numpy's", (spacing, count, expected) => {
    expect(make({ ...COGVIDEOX, timestep_spacing: spacing }).schedule(count).timesteps).toEqual(expected);
  });

  test('61 trailing steps do not end with the -1 of numpy.arange', () => {
    const { timesteps } = make(COGVIDEOX).schedule(61);
    expect(timesteps).toHaveLength(61);
    expect(timesteps.at(-1)).toBe(15);
  });

  test('strength keeps the last int(n * s) steps and their stride', () => {
    const full = make(COGVIDEOX).schedule(7);
    const part = make(COGVIDEOX).schedule(7, { strength: 0.5 });
    expect(part.timesteps).toEqual([428, 285, 142]);
    expect(part.steps).toEqual(full.steps.slice(4));
    expect(part.startNoise).toEqual(make(COGVIDEOX).addNoise(428));
  });

  test.each([
    [0, {}],
    [1001, {}],
    [2.5, {}],
    [10, { strength: 0 }],
    [10, { strength: 0.05 }],
    [10, { strength: 1.5 }],
    [10, { shift: 5 }],
  ] as [number, ScheduleOptions][])('refuses %d steps with %o', (count, options) => {
    expect(() => make(COGVIDEOX).schedule(count, options)).toThrow(InvalidArgumentError);
  });
});

describe('noise tables', () => {
  test('zero terminal SNR keeps the first entry and ends at zero', () => {
    const plain = make({ ...COGVIDEOX, rescale_betas_zero_snr: false }).alphasCumprod!;
    const rescaled = make(COGVIDEOX).alphasCumprod!;
    expect(rescaled[999]).toBe(0);
    expect(rescaled[0]).toBeCloseTo(plain[0], 14);
    expect(plain[0]).toBeCloseTo(1 - 0.00085, 14);
  });

  test('snr_shift_scale divides the signal-to-noise ratio', () => {
    const fields = { ...COGVIDEOX, rescale_betas_zero_snr: false };
    const plain = make(fields).alphasCumprod!;
    const shifted = make({ ...fields, snr_shift_scale: 3 }).alphasCumprod!;
    for (const t of [0, 137, 500, 999]) {
      const snr = (a: number) => a / (1 - a);
      expect(snr(shifted[t]) * 3).toBeCloseTo(snr(plain[t]), 10);
    }
  });

  test('trained_betas stand in for a schedule', () => {
    const betas = Array.from({ length: 50 }, (_, i) => 0.001 + 0.0003 * i);
    const fields = {
      ...COGVIDEOX,
      num_train_timesteps: 50,
      trained_betas: betas,
      rescale_betas_zero_snr: false,
    };
    const expected = betas.reduce((product, beta) => product * (1 - beta), 1);
    expect(make(fields).alphasCumprod![49]).toBeCloseTo(expected, 6);
    expect(() => make({ ...fields, num_train_timesteps: 49 })).toThrow(/trained_betas is "50 numbers".*49/);
  });

  test('squaredcos_cap_v2 follows the cosine', () => {
    const fields = { ...COGVIDEOX, beta_schedule: 'squaredcos_cap_v2', rescale_betas_zero_snr: false };
    const alphas = make(fields, 'DDIMScheduler').alphasCumprod!;
    const cosine = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
    for (const t of [0, 250, 700]) expect(alphas[t]).toBeCloseTo(cosine((t + 1) / 1000) / cosine(0), 5);
  });

  test('velocity turns v back into x0', () => {
    const scheduler = make(COGVIDEOX);
    expect(() => scheduler.addNoise(1000)).toThrow(InvalidArgumentError);
    expect(() => scheduler.velocity(0.5)).toThrow(InvalidArgumentError);
    for (const t of [0, 321, 999]) {
      const [x0, noise] = [0.3, -1.2];
      const [mix, v] = [scheduler.addNoise(t), scheduler.velocity(t)];
      const noisy = mix.x0 * x0 + mix.noise * noise;
      const output = v.x0 * x0 + v.noise * noise;
      expect(v.noise * noisy + v.x0 * output).toBeCloseTo(x0, 6);
    }
  });

  test('flow training tables are shifted and float32', () => {
    const { trainSigmas, trainTimesteps } = make(FLOW, 'FlowMatchEulerDiscreteScheduler');
    expect([trainSigmas![0], trainTimesteps![0]]).toEqual([1, 1000]);
    expect(trainSigmas![500]).toBeCloseTo((5 * 0.5) / (1 + 4 * 0.5), 7);
    expect(trainTimesteps![500]).toBe(Math.fround(trainSigmas![500] * 1000));
  });
});

describe('a model that knows x0', () => {
  const x0 = normals(37, 1);
  const noise = normals(37, 2);

  const diffusion = (['epsilon', 'sample', 'v_prediction'] as const).flatMap((type) =>
    (['CogVideoXDDIMScheduler', 'CogVideoXDPMScheduler', 'DDIMScheduler'] as const).map(
      (name) => [name, type] as const,
    ),
  );
  test.each(diffusion)('%s, %s: is recovered', (name, type) => {
    const rescale = type !== 'epsilon';
    const scheduler = make({ ...COGVIDEOX, prediction_type: type, rescale_betas_zero_snr: rescale }, name);
    const schedule = scheduler.schedule(9);
    const start = x0.map((x, i) => schedule.startNoise.x0 * x + schedule.startNoise.noise * noise[i]);
    const result = run(
      schedule,
      start,
      (x, i, s) => {
        const alpha = scheduler.alphasCumprod![schedule.timesteps[s]];
        const [signal, sigma] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
        const epsilon = (x - signal * x0[i]) / sigma;
        return { epsilon, sample: x0[i], v_prediction: signal * epsilon - sigma * x0[i] }[type];
      },
      x0,
    );
    expect(relativeError(result, x0)).toBeLessThan(1e-6);
  });

  const flow = [
    'FlowMatchEulerDiscreteScheduler',
    'UniPCMultistepScheduler',
    'FlowUniPCMultistepScheduler',
  ] as const;
  test.each(flow)('%s: is recovered', (name) => {
    const schedule = make(FLOW, name).schedule(9);
    const start = x0.map((x, i) => schedule.startNoise.x0 * x + schedule.startNoise.noise * noise[i]);
    const result = run(schedule, start, (x, i, s) => (x - x0[i]) / schedule.sigmas![s], x0);
    expect(relativeError(result, x0)).toBeLessThan(2e-6);
  });

  test('inverted flow sigmas run from data level 0 to 1', () => {
    const schedule = make({ ...FLOW, invert_sigmas: true }, 'FlowMatchEulerDiscreteScheduler').schedule(5);
    expect(schedule.sigmas!.at(-1)).toBe(1);
    expect(schedule.sigmas![0]).toBe(0);
  });
});

describe('order of accuracy', () => {
  // Data from N(0, s^2): the marginal variance is a^2 s^2 + sigma^2, the best prediction of x0 is linear in x, and
  // the probability-flow solution scales x with the marginal's standard deviation.
  const spread = 0.5;
  const start = normals(11, 3);

  function gaussianError(scheduler: Scheduler, count: number, strength = 1): number {
    const schedule = scheduler.schedule(count, { strength });
    const deviation = (sigma: number) => Math.hypot((1 - sigma) * spread, sigma);
    const sigmas = schedule.sigmas!;
    const result = run(schedule, start, (x, _, s) => {
      const sigma = sigmas[s];
      const x0 = ((1 - sigma) * spread ** 2 * x) / deviation(sigma) ** 2;
      return (x - x0) / sigma;
    });
    const last = sigmas[sigmas.length - 1];
    return relativeError(
      result,
      start.map((x) => (x * deviation(last)) / deviation(sigmas[0])),
    );
  }

  // Half a run that ends above zero noise, so that lambda stays moderate and the orders show.
  const unipc = (order: number, type: string, disabled: number[] = []) =>
    make(
      {
        ...FLOW,
        flow_shift: 1,
        shift_terminal: 0.2,
        final_sigmas_type: 'sigma_min',
        solver_order: order,
        solver_type: type,
        disable_corrector: disabled,
      },
      'UniPCMultistepScheduler',
    );

  test.each([
    [1, 'bh1', 1.9],
    [1, 'bh2', 1.9],
    [2, 'bh1', 2.7],
    [3, 'bh1', 3.4],
    [3, 'bh2', 3.4],
  ])('UniPC of solver order %i (%s) is of order above %d', (order, type, rate) => {
    const [coarse, fine] = [16, 32].map((count) => gaussianError(unipc(order, type), count, 0.5));
    expect(Math.log2(coarse / fine)).toBeGreaterThan(rate);
  });

  test('without its corrector UniPC loses one order', () => {
    const predictorOnly = unipc(2, 'bh1', [...Array(32).keys()]);
    const [coarse, fine] = [16, 32].map((count) => gaussianError(predictorOnly, count, 0.5));
    expect(Math.log2(coarse / fine)).toBeGreaterThan(1.7);
    expect(Math.log2(coarse / fine)).toBeLessThan(2.3);
  });

  test('Euler is of order one', () => {
    const euler = make({ ...FLOW, shift: 1 }, 'FlowMatchEulerDiscreteScheduler');
    const rate = Math.log2(gaussianError(euler, 20) / gaussianError(euler, 40));
    expect(rate).toBeGreaterThan(0.8);
    expect(rate).toBeLessThan(1.3);
  });
});

describe('marginals', () => {
  const runs = (['CogVideoXDDIMScheduler', 'CogVideoXDPMScheduler', 'DDIMScheduler'] as const).flatMap(
    (name) => [7, 10, 50].map((count) => [name, count] as const),
  );
  test.each(runs)('%s, %i steps: a true x0 keeps mean and variance on the table', (name, count) => {
    const scheduler = make(COGVIDEOX, name);
    const alphas = scheduler.alphasCumprod!;
    const stride = Math.floor(1000 / count);
    for (const { timestep, combinations } of scheduler.schedule(count).steps) {
      const terms = combinations.find(({ target }) => target === 'next')!.terms;
      const of = (slot: Slot) => terms.find((term) => term.slot === slot)?.coefficient ?? 0;
      const [alpha, next] = [alphas[timestep], timestep < stride ? 1 : alphas[timestep - stride]];
      const mean = of('sample') * Math.sqrt(alpha) + of('x0') + of('x0Prev1');
      expect(mean).toBeCloseTo(Math.sqrt(next), 12);
      expect(of('sample') ** 2 * (1 - alpha) + of('noise') ** 2).toBeCloseTo(1 - next, 12);
    }
  });
});

describe('CogVideoX DPM', () => {
  const dpm = make(COGVIDEOX, 'CogVideoXDPMScheduler');

  test('draws and discards one noise from the second step on, and ends without noise', () => {
    const { steps } = dpm.schedule(10);
    expect(steps.map((step) => step.noiseDraws)).toEqual([1, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    expect(steps.map((step) => step.needsNoise)).toEqual([...Array(9).fill(true), false]);
    // Seven strides of 142 stop at timestep 0, inside the table.
    expect(dpm.schedule(7).steps.at(-1)!.noiseDraws).toBe(2);
  });

  test('extrapolates x0 by half the ratio of the log-SNR steps', () => {
    const alphas = dpm.alphasCumprod!;
    const lambda = (t: number) => 0.5 * Math.log(alphas[t] / (1 - alphas[t]));
    const { terms } = dpm.schedule(10).steps[4].combinations[1];
    const of = (slot: Slot) => terms.find((term) => term.slot === slot)!.coefficient;
    const extrapolation = (lambda(499) - lambda(599)) / (2 * (lambda(599) - lambda(699)));
    expect(-of('x0Prev1') / (of('x0') + of('x0Prev1'))).toBeCloseTo(extrapolation, 10);
  });

  test('a run cut short by strength starts without history', () => {
    const [first] = dpm.schedule(10, { strength: 0.5 }).steps;
    expect(first.noiseDraws).toBe(1);
    expect(JSON.stringify(first)).not.toContain('"slot":"x0Prev1"');
  });
});

describe('Euler', () => {
  const fields = { ...COGVIDEOX, final_sigmas_type: 'zero' };

  test('scales the input to unit variance and the noise to the largest sigma', () => {
    const schedule = make(fields, 'EulerDiscreteScheduler').schedule(10);
    expect(schedule.initNoiseSigma).toBe(4095.999755859375);
    expect(schedule.steps[3].inputScale).toBeCloseTo(1 / Math.sqrt(schedule.sigmas![3] ** 2 + 1), 12);
    const leading = make({ ...fields, timestep_spacing: 'leading' }, 'EulerDiscreteScheduler').schedule(10);
    expect(leading.initNoiseSigma).toBeCloseTo(Math.sqrt(leading.sigmas![0] ** 2 + 1), 5);
  });

  test.each(['epsilon', 'v_prediction'])('%s: a model that knows x0 recovers it', (type) => {
    const x0 = normals(19, 5);
    const schedule = make(
      { ...fields, prediction_type: type, rescale_betas_zero_snr: false, timestep_spacing: 'linspace' },
      'EulerDiscreteScheduler',
    ).schedule(8);
    const noise = normals(19, 6);
    const start = x0.map((x, i) => x + schedule.sigmas![0] * noise[i]);
    const result = run(
      schedule,
      start,
      (scaled, i, s) => {
        const sigma = schedule.sigmas![s];
        const norm = Math.hypot(1, sigma);
        const epsilon = (scaled * norm - x0[i]) / sigma;
        return type === 'epsilon' ? epsilon : (epsilon - sigma * x0[i]) / norm;
      },
      x0,
    );
    expect(relativeError(result, x0)).toBeLessThan(1e-5);
  });

  test('log_linear and continuous', () => {
    const schedule = make(
      { ...fields, interpolation_type: 'log_linear', timestep_type: 'continuous' },
      'EulerDiscreteScheduler',
    ).schedule(4);
    const [a, b, c] = schedule.sigmas!;
    expect(b / a).toBeCloseTo(c / b, 5);
    expect(schedule.timesteps[1]).toBeCloseTo(0.25 * Math.log(b), 5);
  });
});

describe('scheduler files', () => {
  test.each([
    [{ _class_name: 'PNDMScheduler' }, /_class_name is "PNDMScheduler", expected CogVideoXDDIMScheduler \|/],
    [{ _class_name: undefined }, /_class_name is missing/],
    [
      { beta_schedule: 'sigmoid' },
      /beta_schedule is "sigmoid", expected linear \| scaled_linear \| squaredcos_cap_v2/,
    ],
    [{ beta_start: undefined }, /beta_start is missing, expected number/],
    [{ beta_end: '0.012' }, /beta_end is "0.012", expected number/],
    [{ num_train_timesteps: 0 }, /num_train_timesteps is 0, expected more than 0/],
    [{ num_train_timesteps: 10.5 }, /num_train_timesteps is 10.5, expected an integer/],
    [{ num_train_timesteps: 1_000_001 }, /num_train_timesteps is 1000001, expected at most 1000000/],
    [{ betta_start: 1 }, /betta_start is not a field of a diffusers scheduler/],
    [{ prediction_type: 'epsilon' }, /prediction_type is "epsilon", expected v_prediction \| sample/],
  ])('%o is refused', (change, message) => {
    const build = () => make({ ...COGVIDEOX, ...change });
    expect(build).toThrow(InvalidFileError);
    expect(build).toThrow(message);
    expect(build).toThrow(/^scheduler_config\.json: [^\n]*$/);
  });

  test.each([
    ['DDIMScheduler', { clip_sample: true }, /clip_sample is true, expected false/],
    ['DDIMScheduler', { thresholding: true }, /thresholding is true, expected false/],
    ['EulerDiscreteScheduler', { use_karras_sigmas: true }, /use_karras_sigmas is true, expected false/],
    ['EulerDiscreteScheduler', { prediction_type: 'sample' }, /prediction_type is "sample"/],
    ['FlowMatchEulerDiscreteScheduler', { use_dynamic_shifting: true }, /use_dynamic_shifting is true/],
    ['UniPCMultistepScheduler', { solver_order: 4 }, /solver_order is 4, expected at most 3/],
    ['UniPCMultistepScheduler', { lower_order_final: false }, /lower_order_final is false, expected true/],
    ['UniPCMultistepScheduler', { predict_x0: false }, /predict_x0 is false, expected true/],
    ['FlowUniPCMultistepScheduler', { final_sigmas_type: 'sigma_min' }, /final_sigmas_type is "sigma_min"/],
    ['FlowUniPCMultistepScheduler', { shift: undefined }, /shift is missing/],
  ] as [SchedulerName, object, RegExp][])('%s with %o is refused', (name, change, message) => {
    const base = name.startsWith('DDIM') || name.startsWith('Euler') ? COGVIDEOX : FLOW;
    expect(() => make({ ...base, ...change }, name)).toThrow(message);
  });

  test('one file serves another class, with the fields that class does not know', () => {
    expect(make(COGVIDEOX, 'CogVideoXDPMScheduler').className).toBe('CogVideoXDPMScheduler');
    expect(make({ ...COGVIDEOX, _diffusers_version: '0.31.0' }, 'DDIMScheduler').className).toBe(
      'DDIMScheduler',
    );
  });

  test('a recipe names the slot it misses', () => {
    const [step] = make(COGVIDEOX).schedule(3).steps;
    expect(() => applyRecipe(step, { sample: new Float32Array(2) })).toThrow(/^modelOutput: missing/);
  });
});
