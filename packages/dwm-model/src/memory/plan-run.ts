/**
 * Plans the device memory of a whole run from configurations and headers alone, and chooses the fastest way that fits
 * in a budget:
 *
 *     text encoder      stays, or two of its blocks at a time
 *     transformer       all of it stays; else as many blocks as fit, and the others are read again in every step
 *     guidance          one pass of a batch of two, or two of one
 *     feed-forward      all rows at once, or in parts
 *     VAE               its usual tiles, or smaller ones
 *
 * What stays on the device is there in every stage; a stage's own memory is there while it lasts.
 */
import type { Precision } from '@dwm/core-tensor';
import type { ModelShapes } from '../families/family.ts';
import type { ClipCodec } from '../vae/index.ts';
import { chooseRun, type Planning } from './choose-run.ts';
import { type PlanTarget, planningDevice } from './devices.ts';
import { quantizedRemedy, quantizedRuns, streams } from './quantized-runs.ts';
import { type Misfit, tooLarge } from './refusal.ts';
import type { RunNeeds, RunPlan, RunSize } from './run-plan.ts';

/** @throws RunTooLargeError, with the numbers and what would make it fit. */
export function planRun(model: ModelShapes, target: PlanTarget, needs: RunNeeds): RunPlan {
  const device = planningDevice(target);
  const vaes = new Map<Precision, ClipCodec>();
  const planning: Planning = {
    device,
    vae(precision) {
      const vae = vaes.get(precision) ?? model.vae(device, precision);
      vaes.set(precision, vae);
      return vae;
    },
  };
  const made = chooseRun(model, target, needs, planning);
  if ('plan' in made) {
    const { plan } = made;
    return streams(plan.choice, model)
      ? { ...plan, quantized: quantizedRuns(model, target, needs, planning) }
      : plan;
  }
  const smaller = smallerRun(model, target, needs, planning);
  throw tooLarge(target, neediest(model, target, needs, planning, made), [
    ...(smaller ? [smaller] : []),
    ...quantizedRuns(model, target, needs, planning).map(quantizedRemedy),
    ...(needs.precision === 'f16' &&
    'plan' in chooseRun(model, target, { ...needs, precision: 'f32' }, planning)
      ? ['`precision: f32`, which fits']
      : []),
  ]);
}

/** A size that fits, in words. */
function smallerRun(
  model: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
  planning: Planning,
): string | undefined {
  const sizes = [
    { numFrames: 25 },
    { numFrames: 9 },
    {
      numFrames: 9,
      height: Math.max(32, 16 * Math.floor(needs.height / 32)),
      width: Math.max(32, 16 * Math.floor(needs.width / 32)),
    },
    { numFrames: 5, height: 64, width: 64 },
  ];
  for (const size of sizes) {
    const all = { ...needs, ...size };
    const pixels = (of: RunSize) => of.numFrames * of.height * of.width;
    if (pixels(all) >= pixels(needs)) continue;
    if ('plan' in chooseRun(model, target, all, planning)) {
      const picture = 'height' in size ? ` \`height: ${all.height}\` \`width: ${all.width}\`` : '';
      return `\`numFrames: ${all.numFrames}\`${picture}`;
    }
  }
  return undefined;
}

/** The stage that needs most: where the first that does not fit has what it needs, another may not. */
function neediest(
  model: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
  planning: Planning,
  misfit: Misfit,
): Misfit {
  if (!Number.isFinite(misfit.bytes)) return misfit;
  const next = chooseRun(model, { ...target, budget: misfit.bytes }, needs, planning);
  return 'plan' in next || next.bytes <= misfit.bytes
    ? misfit
    : neediest(model, target, needs, planning, next);
}
