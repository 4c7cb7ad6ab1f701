/**
 * Plans the device memory of a live run from configurations and headers alone. All programs stay from the first block
 * to the last, and so do the keys and values that a block looks back on and what the VAE's convolutions keep.
 */
import {
  type DeviceTensor,
  InvalidArgumentError,
  type Precision,
  planProgram,
  spec,
  trace,
} from '@dwm/core-tensor';
import type { ModelShapes } from '../families/family.ts';
import { stackBytes } from '../families/symbols.ts';
import { ALL_RESIDENT, type MemoryChoice } from '../memory/choice.ts';
import { type PlanTarget, planningDevice } from '../memory/devices.ts';
import { planText } from '../memory/plan-text.ts';
import { quantizedRemedy, quantizing } from '../memory/quantized-runs.ts';
import { amountOf, tooLarge, within } from '../memory/refusal.ts';
import type { PlannedStage } from '../memory/run-plan.ts';
import { ownBytes } from '../weights/block-loop.ts';
import { specBytes } from '../weights/block-stream.ts';
import { blockFramesOf, blockLatents, type LiveProgram, livePrograms } from './programs.ts';

/** All of a live run that its plan depends on. */
export interface LiveNeeds {
  readonly height: number;
  readonly width: number;
  readonly numInferenceSteps: number;
  readonly precision: Precision;
  readonly composite: boolean;
  /** Whether the camera may move. */
  readonly moves: boolean;
  /** Tokens of embeddings that are given, in place of a prompt. */
  readonly textTokens?: number | undefined;
}

/** A live run on a device; sizes in bytes. */
export interface LivePlan {
  readonly device: string;
  readonly budget: number;
  readonly size: Pick<LiveNeeds, 'height' | 'width' | 'numInferenceSteps'> & {
    /** Of a block. */
    readonly frames: number;
  };
  readonly choice: MemoryChoice;
  readonly stages: readonly PlannedStage[];
  /** Most bytes on the device at a time. */
  readonly bytes: number;
  readonly framesPerSecond?: number;
}

/**
 * @param model of a network that looks back only.
 * @throws RunTooLargeError, with the numbers and what would make it fit.
 */
export function planLive(model: ModelShapes, target: PlanTarget, needs: LiveNeeds): LivePlan {
  const refusals: string[] = [];
  const plan = (of: ModelShapes, all = needs) => within(() => measure(of, target, all), refusals);
  const fits = (made: LivePlan | undefined) => made !== undefined && made.bytes <= target.budget;
  const made = plan(model);
  if (made && fits(made)) return made;
  const remedies: string[] = [];
  const half = (pixels: number) => Math.max(32, 16 * Math.floor(pixels / 32));
  const size = { height: half(needs.height), width: half(needs.width) };
  if (size.height * size.width < needs.height * needs.width && fits(plan(model, { ...needs, ...size })))
    remedies.push(`\`height: ${size.height}\` \`width: ${size.width}\``);
  for (const dtype of ['int8', 'int4'] as const) {
    const own = model.quantized && plan(model.quantized(dtype));
    if (own && fits(own))
      remedies.push(quantizedRemedy({ dtype, bytes: own.bytes, ...quantizing(model, dtype) }));
  }
  throw tooLarge(
    target,
    { stage: 'live', bytes: made?.bytes ?? Number.POSITIVE_INFINITY, refusals: made ? [] : refusals },
    remedies,
  );
}

function measure(model: ModelShapes, target: PlanTarget, needs: LiveNeeds): LivePlan {
  const { height, width, precision, composite, moves, numInferenceSteps } = needs;
  const device = planningDevice(target);
  const { network, shapes } = model.stacked();
  const { causal } = network;
  if (!causal) throw new InvalidArgumentError('model', 'looks both ways, so it has no live run');
  const vae = model.vae(device, precision);
  const textLength = needs.textTokens ?? network.textTokens;
  const shape = { network, causal, vae, height, width, textLength };
  const programs = livePrograms(shape);
  const [first, next] = [blockFramesOf(shape, true), blockFramesOf(shape, false)];
  const { channels, height: h, width: w } = blockLatents(shape);
  const latents = [1, causal.blockFrames, channels, h, w];
  /** Only its shape is asked for. */
  const moments = (frames: number) => spec([1, frames, 2 * channels, h, w]) as unknown as DeviceTensor;
  const pictures = (frames: number) => [1, frames, height, width, 3];
  const bytesOf = (...of: readonly (readonly number[])[]) =>
    of.reduce((sum, one) => sum + specBytes({ one: spec(one) }), 0);
  const planOf = ({ inputs, run }: LiveProgram) => planProgram(trace(inputs, run), device, precision);

  // Every program has its memory to itself.
  const [encoder, decoder] = [vae.openStretches('encode'), vae.openStretches('decode')];
  const encodes = [encoder.plan(pictures(first)), encoder.plan(pictures(1))];
  const decodes = [decoder.plan(latents), decoder.plan([1, 1, channels, h, w])];
  const encodesNext = encoder.plan(pictures(next), encodes[0]);
  const decodesNext = decoder.plan(latents, decodes[0]);
  const scene = (frames: number) => (composite ? frames : undefined);
  const block = planOf(programs.block(moments(causal.blockFrames)));
  const textKeys = planOf(programs.text());
  const finish = planOf(programs.finish(next, scene(1)));
  const ofNames = new Map(
    [
      ...[first, next, 1].map(programs.up),
      ...[programs.plain(1), programs.plain(causal.blockFrames)],
      ...[programs.scene(moments(1)), programs.finish(first, scene(1))],
      ...(moves
        ? [
            programs.scene(moments(causal.blockFrames)),
            ...[first, next].map((frames) => programs.finish(frames, scene(frames))),
          ]
        : []),
    ].map((program) => [program.name, program]),
  );
  const plans = new Set([
    ...[block, finish, textKeys, encodesNext.plan, decodesNext.plan],
    ...[...encodes, ...decodes].map(({ plan }) => plan),
    ...[...ofNames.values()].map(planOf),
  ]);
  const programBytes = [...plans].reduce((sum, plan) => sum + ownBytes(plan), 0);

  // What lies between them: what is remembered, and what one hands to another.
  const memory = specBytes(causal.memorySpecs({ textLength, height: h, width: w }));
  const caches = [encodesNext, encodes[1], decodesNext, ...(composite ? [decodes[1]] : [])];
  const shown = moves ? next : 1;
  const scenery = bytesOf(latents) + (composite ? 2 * bytesOf(pictures(shown)) : 0);
  const held =
    caches.reduce((sum, { caches: own }) => sum + specBytes(own), 0) +
    // The next scene is made while the one before is there.
    (moves ? 2 : 1) * scenery +
    // Bytes of the frames on their way up and down, and a video between two programs.
    bytesOf(pictures(next)) * 2 +
    // Moments of hands and scene, where programs read them, and as the encoder gave them; latents of a step.
    bytesOf(...[moments(causal.blockFrames), moments(1), moments(shown)].map(({ shape: of }) => of)) +
    4 * bytesOf(latents);

  const text =
    model.text && !needs.textTokens ? planText(model.text, false, textLength, device, precision) : undefined;
  const stays = model.vaeBytes + stackBytes(shapes);
  const flops =
    (numInferenceSteps + 1) * block.cost.flops +
    [encodesNext.plan, decodesNext.plan, finish].reduce((sum, { cost }) => sum + cost.flops, 0);
  const teraflops = flops / 1e12;
  const { pace } = target;
  const seconds = pace && teraflops / pace.teraflops;
  const stages: PlannedStage[] = [
    {
      ...{ stage: 'text', stays, reads: text?.weights ?? 0 },
      own: Math.max(text?.streamed ?? 0, memory + ownBytes(textKeys)),
      teraflops: ((text?.flops ?? 0) + textKeys.cost.flops) / 1e12,
      chosen: text ? 'the encoder is streamed' : 'embeddings are given',
    },
    {
      ...{ stage: 'live', stays, reads: 0, own: programBytes + memory + held, teraflops },
      ...(seconds !== undefined && { seconds }),
      chosen: `all blocks stay, keys and values take ${amountOf(memory)}`,
    },
  ];
  return {
    ...{ device: target.name, budget: target.budget, stages },
    size: { height, width, numInferenceSteps, frames: next },
    choice: { ...ALL_RESIDENT, text: 'come in blocks' },
    bytes: stays + Math.max(...stages.map(({ own }) => own)),
    ...(seconds && { framesPerSecond: next / seconds }),
  };
}
