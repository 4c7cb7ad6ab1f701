/** What a run is made with: its options over the model's settings over the family's defaults, checked. */
import { type Device, DeviceTensor, InvalidArgumentError } from '@dwm/core-tensor';
import type { DenoisingNetwork, ModelFamily, UnknownOption } from '../families/family.ts';
import type { Scheduler } from '../schedulers/index.ts';
import type { ClipCodec, LatentSize } from '../vae/index.ts';
import type { Latents } from '../video/video.ts';
import { checkOptions, checkSize } from './check-run.ts';
import { dynamicGuidanceScale } from './guidance.ts';
import type { GenerateOptions } from './options.ts';
import type { RunSettings } from './run-settings.ts';
import { checkCache } from './step-cache.ts';

/** Of a pipeline, what its runs' settings depend on. */
export interface Settled {
  readonly family: ModelFamily;
  readonly settings: RunSettings;
  readonly scheduler: Scheduler;
  readonly vae: ClipCodec;
  readonly network: DenoisingNetwork;
}

/** Every setting of a run, checked. @throws InvalidArgumentError naming the option that is out of range. */
export function settle(pipeline: Settled, options: GenerateOptions) {
  const { family, scheduler, vae, network } = pipeline;
  const settings = {
    ...family.defaults,
    ...pipeline.settings,
    strength: 1,
    dynamicGuidance: false,
    cfgSkipRatio: 0,
    mask: 'zeros' as const,
    ...defined(options),
  };
  const { numFrames, height, width, strength, staticLatents } = settings;
  const draws = options.draws ?? {};
  const size = { frames: numFrames, height, width };
  checkSize(size, vae.shape, network);
  checkOptions(settings);
  const latent = vae.latentSize(size);
  const count = latent.frames * latent.channels * latent.height * latent.width;
  checkDraws(draws, count);
  const { denoised } = settings;
  if (denoised && denoised.length !== count)
    throw new InvalidArgumentError(
      'resume',
      `expected ${count} latents of this size, got ${denoised.length}`,
    );
  refuse(family, 'strength', strength < 1);
  refuse(family, 'dynamicGuidance', settings.dynamicGuidance);
  refuse(family, 'mask none', settings.mask === 'none');
  if (staticLatents && (strength < 1 || settings.mask !== 'zeros'))
    throw new InvalidArgumentError('staticLatents', 'go with mask "zeros" and strength 1 only');
  const shape = shapeOfLatents(latent);
  if (staticLatents && staticLatents.shape.join() !== shape.join()) {
    throw new InvalidArgumentError(
      'staticLatents',
      `expected latents [${shape}], got [${staticLatents.shape}]`,
    );
  }
  if (options.condition && (settings.composite || strength < 1))
    throw new InvalidArgumentError('condition', 'goes without composite and with strength 1 only');
  if (settings.composite && settings.mask !== 'zeros')
    throw new InvalidArgumentError('composite', 'goes with mask "zeros" only');
  const shift = settings.shift ?? family.runShift?.(scheduler.className);
  const schedule = scheduler.schedule(settings.numInferenceSteps, {
    strength,
    ...(shift !== undefined && { shift }),
  });
  const steps = schedule.steps.length;
  checkCache(network, steps, settings);
  const guidedSteps =
    settings.guidanceScale > 1 ? Math.min(steps, Math.ceil(steps * (1 - settings.cfgSkipRatio))) : 0;
  const guidance = schedule.timesteps.map((t, i) =>
    i >= guidedSteps
      ? 1
      : settings.dynamicGuidance
        ? dynamicGuidanceScale(settings.guidanceScale, steps, t)
        : settings.guidanceScale,
  );
  const guided = guidedSteps > 0;
  const needsStart = strength < 1 && !draws.latents;
  return { settings, size, latent, count, draws, schedule, guidance, guidedSteps, guided, needsStart };
}

/** The options that were really given. */
export function defined<T extends object>(options: T): Partial<T> & T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** Of latents on the device. */
const shapeOfLatents = ({ frames, channels, height, width }: LatentSize) => [
  1,
  frames,
  channels,
  height,
  width,
];

/** Values as latents on the device. */
export const latentsOn = (device: Device, values: Float32Array, size: LatentSize): Latents =>
  DeviceTensor.from(device, values, shapeOfLatents(size), 'f32', 'latents');

/** @throws InvalidArgumentError where an option is asked for that this family has no meaning for. */
function refuse(family: ModelFamily, option: UnknownOption, isAsked: boolean): void {
  const why = family.lacks[option];
  if (isAsked && why !== undefined) throw new InvalidArgumentError(option.split(' ')[0], why);
}

function checkDraws(draws: NonNullable<GenerateOptions['draws']>, count: number): void {
  const named: [string, unknown][] = [
    ['latents', draws.latents],
    ['start', draws.start],
    ['staticStart', draws.staticStart],
    ['static', draws.static],
    ['hand', draws.hand],
    ...(draws.steps ?? []).map((x, i): [string, unknown] => [`steps[${i}]`, x]),
  ];
  for (const [name, value] of named) {
    if (value instanceof Float32Array && value.length !== count) {
      throw new InvalidArgumentError(
        name,
        `expected ${count} values for the latents of this size, got ${value.length}`,
      );
    }
  }
}
