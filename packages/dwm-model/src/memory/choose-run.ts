/** The fastest way of a whole run that fits in a budget. */
import type { Device, Precision } from '@dwm/core-tensor';
import type { ModelShapes } from '../families/family.ts';
import type { ClipCodec, VaeEstimate, VaeOptions } from '../vae/index.ts';
import { besideStages } from '../video/transfer.ts';
import { ALL_RESIDENT, type MemoryChoice } from './choice.ts';
import type { Pace, PlanTarget } from './devices.ts';
import { planText } from './plan-text.ts';
import { kernelsOfStep, TransformerWays, type Way } from './plan-transformer.ts';
import { planVae, type VaePlan } from './plan-vae.ts';
import type { Misfit } from './refusal.ts';
import type { PlannedStage, RunNeeds, RunPlan, StageName } from './run-plan.ts';

/** What every way of a run is planned with. */
export interface Planning {
  readonly device: Device;
  /** It remembers what was planned of it, and is the same whatever the transformer's weights are. */
  readonly vae: (precision: Precision) => ClipCodec;
}

export type Chosen = { plan: RunPlan } | Misfit;

/** What is too small to be planned has the rest: coefficients of steps, staging of results. */
const PLANNED_SHARE = 0.99;

export function chooseRun(
  model: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
  { device, vae: vaeIn }: Planning,
): Chosen {
  const budget = PLANNED_SHARE * target.budget;
  const refusals: string[] = [];
  const misfit = (stage: StageName, bytes: number): Misfit => ({
    ...{ stage, bytes: Math.ceil(bytes / PLANNED_SHARE), refusals },
  });
  const speed = new Speed(target.pace);
  const { precision, guided } = needs;
  const vae = vaeIn(precision);
  const size = { frames: needs.numFrames, height: needs.height, width: needs.width };
  const latent = vae.latentSize(size);
  const others = besideStages(size, latent, needs.composite === true);
  const textLength = needs.textTokens ?? model.stacked().network.textTokens;
  const text =
    needs.encodesText && model.text ? planText(model.text, guided, textLength, device, precision) : undefined;
  const usual = needs.tiling ?? model.tiling;
  /** Tiles that fit: the VAE's own memory, and what is beside it. */
  const tiles =
    (estimate: (options: VaeOptions & { roughly: true }) => VaeEstimate, beside: number) => (room: number) =>
      planVae(
        (tiling) => {
          const { bytes, flops } = estimate({ tiling, roughly: true });
          return { bytes: bytes + beside, flops };
        },
        usual,
        room,
        refusals,
      );
  const encodePlan = tiles((options) => vae.estimateEncode(size, options), others.encode);
  const decodePlan = tiles((options) => vae.estimateDecode(latent, options), others.decode);

  const ways = new TransformerWays(model, device, needs, {
    ...{ latent, textLength, others: others.denoise, budget, refusals },
  });
  const { stack } = ways;
  const whole = ways.whole();
  const first = whole ? [whole] : ways.inBlocks(stack.blocks);
  if (first.length === 0) return misfit('denoise', ways.least);
  let way = speed.fastest(first);
  const room = () => budget - model.vaeBytes - way.kept;
  let encode: VaePlan | undefined;
  let decode: VaePlan | undefined;
  // What the transformer may keep on the device is bounded by what every other stage needs at the least.
  for (;;) {
    encode = encodePlan(room());
    if (!encode) return misfit('encode', Number.POSITIVE_INFINITY);
    decode = decodePlan(room());
    if (!decode) return misfit('decode', Number.POSITIVE_INFINITY);
    const owns: [StageName, number][] = [
      ['text', text ? text.streamed : 0],
      ['encode', encode.bytes],
      ['denoise', way.bytes],
      ['decode', decode.bytes],
    ];
    const [stage, own] = owns.reduce((worst, other) => (other[1] > worst[1] ? other : worst));
    const over = own - room();
    if (over <= 0) break;
    const stays = way.choice.residentBlocks ?? stack.blocks;
    const fewer = Math.max(0, Math.min(stays - 1, stays - Math.ceil(over / stack.blockBytes)));
    const next = stays === 0 ? [] : ways.inBlocks(fewer);
    if (next.length === 0) return misfit(stage, model.vaeBytes + stack.outerBytes + own);
    way = speed.fastest(next);
  }
  // An encoder that stays keeps its program, too.
  const keptText = text ? text.weights + text.own : 0;
  const keepsText =
    text !== undefined &&
    way.choice === ALL_RESIDENT &&
    Math.max(way.bytes, encode.bytes, decode.bytes) + keptText <= room();
  const stays = model.vaeBytes + way.kept + (keepsText ? keptText : 0);
  const choice: MemoryChoice = {
    ...way.choice,
    text: keepsText ? 'stay' : 'come in blocks',
    ...(encode.tiling !== usual && { encodeTiling: encode.tiling }),
    ...(decode.tiling !== usual && { decodeTiling: decode.tiling }),
  };
  const { numFrames, height, width, numInferenceSteps: steps } = needs;
  const passes = steps * (guided ? 1 - (needs.cfgSkipRatio ?? 0) / 2 : 1);
  const stages = [
    ...(text
      ? [
          speed.stage('text', {
            ...{ stays, flops: text.flops },
            ...(keepsText
              ? { own: 0, reads: 0, chosen: 'the encoder stays' }
              : { own: text.streamed, reads: text.weights, chosen: 'the encoder is streamed' }),
          }),
        ]
      : []),
    speed.stage('encode', { ...encode, stays, own: encode.bytes, flops: 2 * encode.flops, reads: 0 }),
    speed.stage('denoise', {
      ...{ stays, own: way.bytes, chosen: way.chosen },
      ...{ flops: passes * way.flops, reads: steps * way.reads },
    }),
    speed.stage('decode', { ...decode, stays, own: decode.bytes, reads: 0 }),
  ];
  const seconds = speed.total(stays, stages);
  return {
    plan: {
      device: target.name,
      budget: target.budget,
      size: { numFrames, height, width, numInferenceSteps: steps, guided },
      choice,
      stages,
      kernels: kernelsOfStep(way.planned, stack.blocks),
      bytes: stays + Math.max(...stages.map(({ own }) => own)),
      loads: stays,
      ...(seconds !== undefined && { seconds }),
    },
  };
}

/** How long work takes, where the device's rates are known. */
class Speed {
  readonly #pace: Pace | undefined;

  constructor(pace: Pace | undefined) {
    this.#pace = pace;
  }

  /** Weights are read while others are computed with. */
  #seconds({ flops, reads }: { readonly flops: number; readonly reads: number }): number | undefined {
    if (!this.#pace) return undefined;
    return Math.max(flops / 1e12 / this.#pace.teraflops, reads / 1e9 / this.#pace.loadGBps);
  }

  /** By what it reads, where no rate is known. */
  fastest(ways: readonly Way[]): Way {
    const cost = (way: Way) => this.#seconds(way) ?? way.reads;
    return ways.reduce((best, other) => (cost(other) < cost(best) ? other : best));
  }

  stage(
    stage: StageName,
    work: Pick<PlannedStage, 'stays' | 'own' | 'reads' | 'chosen'> & { readonly flops: number },
  ): PlannedStage {
    const { stays, own, reads, chosen, flops } = work;
    const seconds = this.#seconds(work);
    return {
      ...{ stage, stays, own, teraflops: flops / 1e12, reads, chosen },
      ...(seconds !== undefined && { seconds }),
    };
  }

  /** Of all stages, and of loading what stays before them. */
  total(stays: number, stages: readonly PlannedStage[]): number | undefined {
    const loading = this.#seconds({ flops: 0, reads: stays });
    return loading === undefined
      ? undefined
      : loading + stages.reduce((sum, { seconds = 0 }) => sum + seconds, 0);
  }
}
