/** The second stage of a run: noise becomes the latents of a clip, step by step. They stay on the device. */
import { add, evaluate, InvalidArgumentError, mul, parameter } from '@dwm/core-tensor';
import { DeviceSteps } from '../schedulers/on-device.ts';
import type { Latents } from '../video/video.ts';
import type { BlockDenoiser } from './block-denoiser.ts';
import type { Conditions } from './condition.ts';
import { createDenoiser } from './create-denoiser.ts';
import type { Denoiser } from './denoiser.ts';
import { requireFiniteTensor } from './finite.ts';
import { normals, STREAMS } from './noise.ts';
import type { GenerateOptions } from './options.ts';
import type { PipelineParts } from './parts.ts';
import { latentsOn, settle } from './settle.ts';
import { StepCache } from './step-cache.ts';

/**
 * Noise made into latents [1, F', C, h, w], the caller's, and which steps ran all blocks.
 * @throws as `DwmPipeline.generate`.
 */
export async function sample(
  parts: PipelineParts,
  { condition, start, text }: Conditions,
  options: GenerateOptions,
): Promise<{ latents: Latents; calculated: readonly boolean[] }> {
  const { settings, latent, count, draws, schedule, guidance, guidedSteps } = settle(parts, options);
  const { seed, signal } = settings;
  const { device, network } = parts;
  if (network.causal)
    throw new InvalidArgumentError(
      'conditions',
      'are all of a clip at once, and this model looks back only; use generate or DwmStream',
    );
  const report = options.onProgress ?? (() => {});
  const steps = schedule.steps.length;

  report({ stage: 'denoise', done: 0, step: 1, steps });
  const noise = latentsOn(
    device,
    start
      ? (draws.start ?? normals(seed, STREAMS.start, count))
      : (draws.latents ?? normals(seed, STREAMS.latents, count)),
    latent,
  );
  const { x0, noise: sigma } = schedule.startNoise;
  const first = start
    ? add(mul(parameter(start), x0), mul(parameter(noise), sigma))
    : mul(parameter(noise), schedule.initNoiseSigma);
  const { latents } = await evaluate(device, { latents: first }).finally(() => noise.destroy());
  const run = new DeviceSteps(device, schedule, latents);
  const calls = schedule.steps.map(({ timestep, inputScale }, i) => ({
    ...{ timestep, inputScale, guidance: guidance[i] },
  }));
  const sizes = { latent, textLength: text.tokens };
  let denoiser: Denoiser | BlockDenoiser | undefined;
  let cache: StepCache | undefined;
  try {
    const { parameters } = parts.transformer;
    cache = await StepCache.create(device, network, parameters, schedule.timesteps, settings);
    let drawn = 0;
    for (const [i, recipe] of schedule.steps.entries()) {
      if (i === 0 || i === guidedSteps) {
        await denoiser?.destroy();
        denoiser = undefined;
        const guided = i < guidedSteps;
        if (i > 0) cache?.keepPositive();
        const rows = guided ? text.rows : text.rows.subarray(-text.tokens * network.textWidth);
        denoiser = await createDenoiser(parts, { ...sizes, guided }, condition, rows, calls, cache);
      }
      const prediction = await denoiser!.predict(run.sample, i, {
        signal,
        onProgress: (done) =>
          report({ stage: 'denoise', done: (i + Math.min(done, 0.99)) / steps, step: i + 1, steps }),
      });
      drawn += recipe.noiseDraws;
      const fresh = recipe.needsNoise
        ? (draws.steps?.[i] ?? normals(seed, STREAMS.steps + drawn, count))
        : undefined;
      await run.step(i, prediction, fresh);
      // Damaged weights show in the first step; the others are not waited for.
      if (i === 0) await requireFiniteLatents(run.sample, 'the latents after the first step');
      report({ stage: 'denoise', done: (i + 1) / steps, step: i + 1, steps, preview: run.preview });
    }
    await requireFiniteLatents(run.sample, 'the latents');
    return { latents: run.release(), calculated: cache?.calculated ?? schedule.steps.map(() => true) };
  } finally {
    await denoiser?.destroy();
    cache?.destroy();
    run.destroy();
  }
}

const requireFiniteLatents = (latents: Latents, what: string): Promise<void> =>
  requireFiniteTensor(
    latents.device,
    parameter(latents),
    what,
    'the weights or the scheduler are damaged, or belong to another model',
  );
