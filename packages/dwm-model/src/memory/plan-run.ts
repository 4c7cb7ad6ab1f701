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
import {
  DwmError,
  InvalidArgumentError,
  type KernelWork,
  type Plan,
  PlanTooLargeError,
  type Precision,
  spec,
  workByKernel,
} from '@dwm/core-tensor';
import type { ModelShapes } from '../families/family.ts';
import { isQuantizedStack, planTextBlock, stackBytes } from '../families/symbols.ts';
import { type BlockDenoiserPlan, planBlockDenoiser } from '../pipeline/block-denoiser.ts';
import { Denoiser } from '../pipeline/denoiser.ts';
import type { CacheKind } from '../pipeline/step-cache.ts';
import { t5BlockPrefix, t5Parameters, t5Parts } from '../text-encoder/network.ts';
import type { ClipCodec, VaeEstimate, VaeOptions } from '../vae/index.ts';
import { besideStages } from '../video/transfer.ts';
import { ownBytes, planBlock } from '../weights/block-loop.ts';
import { specBytes } from '../weights/block-stream.ts';
import type { QuantizedDtype } from '../weights/quantized.ts';
import { ALL_RESIDENT, type MemoryChoice } from './choice.ts';
import { type PlanTarget, planningDevice } from './devices.ts';

/** What a run makes: frames and pixels of the clip, denoising steps, and whether guidance runs. */
export interface RunSize {
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  readonly numInferenceSteps: number;
  readonly guided: boolean;
}

/** All of a run that its plan depends on. */
export interface RunNeeds extends RunSize {
  readonly precision: Precision;
  /** Whether prompts are encoded; embeddings that are given need no text encoder. */
  readonly encodesText: boolean;
  /** Tokens of embeddings that are given. */
  readonly textTokens?: number | undefined;
  readonly tiling?: VaeOptions['tiling'] | undefined;
  /** How many LoRAs, and their bytes. One is merged into weights that are not quantized; others stay beside them. */
  readonly loras?: { readonly count: number; readonly bytes: number } | undefined;
  /** Whether the static video stays for its compositing. */
  readonly composite?: boolean | undefined;
  /** Leaves blocks out in some steps; how many is not known before, and none is counted as left out. */
  readonly cache?: CacheKind | undefined;
  /** Share of the steps that go by the prompt alone. */
  readonly cfgSkipRatio?: number | undefined;
}

/** `live` is of a live run, and the last three are a training's. */
type StageName = ('text' | 'encode' | 'denoise' | 'decode') | 'live' | ('step' | 'checkpoint' | 'validation');

/** What one stage of a run takes; sizes in bytes. */
export interface PlannedStage {
  readonly stage: StageName;
  /** On the device throughout. */
  readonly stays: number;
  /** While the stage lasts: weights that come and go, and everything that is computed. */
  readonly own: number;
  readonly teraflops: number;
  /** Bytes that are read of files. */
  readonly reads: number;
  readonly seconds?: number;
  readonly chosen: string;
}

/** A run on a device, stage by stage; sizes in bytes. */
export interface RunPlan {
  readonly device: string;
  readonly budget: number;
  readonly size: RunSize;
  readonly choice: MemoryChoice;
  readonly stages: readonly PlannedStage[];
  /** What the kernels of a denoising step compute and move. */
  readonly kernels: readonly KernelWork[];
  /** Most bytes on the device at a time. */
  readonly bytes: number;
  /** Of loading what stays. */
  readonly loads: number;
  readonly seconds?: number;
  /** Of a run that streams blocks: what it would be with quantized weights, where the model has floats. */
  readonly quantized?: readonly QuantizedRun[];
}

/** A run with weights that `dwm quantize` would make; sizes in bytes. */
export interface QuantizedRun {
  readonly dtype: QuantizedDtype;
  /** Most bytes on the device at a time. */
  readonly bytes: number;
  /** How its blocks go. */
  readonly chosen: string;
  readonly seconds?: number;
  /** Of the quantized model's files. */
  readonly fileBytes: number;
  /** About so long takes making them, on one core. */
  readonly makingSeconds: number;
}

/** A run that the budget does not hold, found before any weight was read. */
export class RunTooLargeError extends DwmError {
  constructor(message: string, details: Record<string, unknown>) {
    super('plan-too-large', message, details);
  }
}

/** Gigabytes, or megabytes of what is small. */
export const amountOf = (bytes: number) =>
  bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

/** Tiles of the VAE in pixels, from the usual half of 480x720 down; multiples of 48 rows and 40 columns add up. */
export const TILES: readonly (readonly [height: number, width: number])[] = [
  [240, 360],
  [192, 320],
  [144, 240],
  [96, 160],
  [96, 120],
  [48, 80],
  [48, 40],
];

const FEED_FORWARD_PARTS = [1, 4, 16];

/** Without a value where the device's limits, not its memory, are in the way. */
export function within<T>(plan: () => T, refusals: string[]): T | undefined {
  try {
    return plan();
  } catch (error) {
    if (!(error instanceof PlanTooLargeError || error instanceof InvalidArgumentError)) throw error;
    refusals.push(error.message);
    return undefined;
  }
}

interface VaePlan {
  readonly tiling: VaeOptions['tiling'];
  readonly bytes: number;
  readonly flops: number;
  readonly chosen: string;
}

/** The usual tiles, or the largest that fit in `room`; the smallest where none does. */
function planVae(
  estimate: (tiling: VaeOptions['tiling']) => { bytes: number; flops: number },
  usual: VaeOptions['tiling'],
  room: number,
  refusals: string[],
): VaePlan | undefined {
  const first = within(() => estimate(usual), refusals);
  const name = usual === false ? 'whole frames' : 'usual tiles';
  if (first && first.bytes <= room) return { ...first, tiling: usual, chosen: name };
  let smallest: VaePlan | undefined;
  let perPixel = 0;
  for (const [height, width] of TILES) {
    // Memory goes with the area; what is far off is not planned.
    const isLast = height === TILES.at(-1)![0] && width === TILES.at(-1)![1];
    if (perPixel * height * width > 1.3 * room && !isLast) continue;
    const tiling = { tileSampleMinHeight: height, tileSampleMinWidth: width };
    const found = within(() => estimate(tiling), refusals);
    if (!found) continue;
    perPixel = found.bytes / (height * width);
    const plan = { ...found, tiling, chosen: `tiles of ${width}x${height}` };
    if (found.bytes <= room) return plan;
    smallest = plan;
  }
  return smallest ?? (first && { ...first, tiling: usual, chosen: name });
}

/** What every way of a run is planned with. */
interface Planned {
  readonly device: ReturnType<typeof planningDevice>;
  /** It remembers what was planned of it, and is the same whatever the transformer's weights are. */
  readonly vae: (precision: Precision) => ClipCodec;
}

/** @throws RunTooLargeError, with the numbers and what would make it fit. */
export function planRun(model: ModelShapes, target: PlanTarget, needs: RunNeeds): RunPlan {
  const device = planningDevice(target);
  const vaes = new Map<Precision, ClipCodec>();
  const planned: Planned = {
    device,
    vae(precision) {
      const vae = vaes.get(precision) ?? model.vae(device, precision);
      vaes.set(precision, vae);
      return vae;
    },
  };
  const made = choose(model, target, needs, planned);
  if ('plan' in made) {
    const { plan } = made;
    return streams(plan.choice, model)
      ? { ...plan, quantized: quantizedRuns(model, target, needs, planned) }
      : plan;
  }
  const smaller = smallerRun(model, target, needs, planned);
  throw tooLarge(target, neediest(model, target, needs, planned, made), [
    ...(smaller ? [smaller] : []),
    ...quantizedRuns(model, target, needs, planned).map(quantizedRemedy),
    ...(needs.precision === 'f16' && 'plan' in choose(model, target, { ...needs, precision: 'f32' }, planned)
      ? ['`precision: f32`, which fits']
      : []),
  ]);
}

export const quantizedRemedy = ({
  dtype,
  bytes,
  fileBytes,
  makingSeconds,
}: Omit<QuantizedRun, 'chosen'>): string =>
  `${dtype} weights, which take ${amountOf(bytes)} (\`quantize: ${dtype}\` makes ${amountOf(fileBytes)} of files in about ${Math.ceil(makingSeconds / 60)} min)`;

/** @param remedies beside more memory, in words. */
export function tooLarge(
  { name, budget }: PlanTarget,
  { stage, bytes, refusals }: Misfit,
  remedies: readonly string[],
): RunTooLargeError {
  const known = Number.isFinite(bytes);
  const limit = refusals.length > 0 && !known ? `: ${refusals.at(-1)}` : '';
  const amount = known ? `${amountOf(bytes)} at least` : 'more than its buffers hold';
  const memory = bytes < 1e9 ? `${Math.ceil(bytes / 1e6)}MB` : `${Math.ceil(bytes / 1e8) / 10}GB`;
  const all = [...(known ? [`\`memory: ${memory}\` where the device has it`] : []), ...remedies];
  return new RunTooLargeError(
    `${name}: ${stage} needs ${amount}, but the budget is ${amountOf(budget)}${limit}; ${all.length > 0 ? `choose ${all.join(', or ')}` : 'choose a smaller model'}`,
    { stage, neededBytes: bytes, budgetBytes: budget },
  );
}

/** Of a model's floats, by a core: measured with 2.2 GB of the 5B's shapes. They are read twice, and rounded. */
const QUANTIZE_BYTES_PER_SECOND = { int8: 57e6, int4: 16e6 } as const;

/** What `dwm quantize` makes of a model, and about how long it takes. */
export function quantizing(model: ModelShapes, dtype: QuantizedDtype) {
  return {
    fileBytes: weightBytes(model.quantized!(dtype)),
    makingSeconds: weightBytes(model) / QUANTIZE_BYTES_PER_SECOND[dtype],
  };
}

/** Of int8 and int4 those that fit, up to the first that streams no block. */
function quantizedRuns(
  model: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
  planned: Planned,
): QuantizedRun[] {
  const runs: QuantizedRun[] = [];
  for (const dtype of ['int8', 'int4'] as const) {
    const shapes = model.quantized?.(dtype);
    const made = shapes && choose(shapes, target, needs, planned);
    if (!made || !('plan' in made)) continue;
    const { bytes, stages, seconds, choice } = made.plan;
    const { chosen } = stages.find(({ stage }) => stage === 'denoise')!;
    runs.push({
      ...{ dtype, bytes, chosen, ...(seconds !== undefined && { seconds }) },
      ...quantizing(model, dtype),
    });
    if (!streams(choice, model)) break;
  }
  return runs;
}

const streams = ({ residentBlocks }: MemoryChoice, { stacked }: ModelShapes): boolean =>
  residentBlocks !== undefined && residentBlocks < stacked().shapes.blocks;

/** Of all networks of a model. */
const weightBytes = ({ stacked, text, vaeBytes }: ModelShapes): number =>
  vaeBytes + stackBytes(stacked().shapes) + (text ? stackBytes(text.shapes) : 0);

/** A size that fits, in words. */
function smallerRun(
  model: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
  planned: Planned,
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
    if ('plan' in choose(model, target, all, planned)) {
      const picture = 'height' in size ? ` \`height: ${all.height}\` \`width: ${all.width}\`` : '';
      return `\`numFrames: ${all.numFrames}\`${picture}`;
    }
  }
  return undefined;
}

/** What does not fit, and the messages of limits that were in the way. */
interface Misfit {
  readonly stage: StageName;
  /** That a budget has at the least. */
  readonly bytes: number;
  readonly refusals: readonly string[];
}

type Chosen = { plan: RunPlan } | Misfit;

/** The stage that needs most: where the first that does not fit has what it needs, another may not. */
function neediest(
  model: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
  planned: Planned,
  misfit: Misfit,
): Misfit {
  if (!Number.isFinite(misfit.bytes)) return misfit;
  const next = choose(model, { ...target, budget: misfit.bytes }, needs, planned);
  return 'plan' in next || next.bytes <= misfit.bytes
    ? misfit
    : neediest(model, target, needs, planned, next);
}

/** What is too small to be planned has the rest: coefficients of steps, staging of results. */
const PLANNED_SHARE = 0.99;

function choose(
  model: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
  { device, vae: vaeIn }: Planned,
): Chosen {
  const { pace } = target;
  const budget = PLANNED_SHARE * target.budget;
  const misfit = (stage: StageName, bytes: number): Misfit => ({
    ...{ stage, bytes: Math.ceil(bytes / PLANNED_SHARE), refusals },
  });
  const { precision, guided, cache } = needs;
  const refusals: string[] = [];
  const vae = vaeIn(precision);
  const size = { frames: needs.numFrames, height: needs.height, width: needs.width };
  const latent = vae.latentSize(size);
  const others = besideStages(size, latent, needs.composite === true);
  const { network, shapes } = model.stacked();
  const { loras } = needs;
  const staysBeside = loras && (loras.count > 1 || isQuantizedStack(shapes));
  const stack = { ...shapes, outerBytes: shapes.outerBytes + (staysBeside ? loras.bytes : 0) };
  const textLength = needs.textTokens ?? network.textTokens;
  const shape = { latent, textLength, guided };
  const flopSeconds = (flops: number) => (pace ? flops / 1e12 / pace.teraflops : 0);
  const readSeconds = (bytes: number) => (pace ? bytes / 1e9 / pace.loadGBps : 0);

  const text =
    needs.encodesText && model.text ? planText(model.text, guided, textLength, device, precision) : undefined;
  const transformerBytes = stackBytes(stack);
  const mergeBytes = loras && !staysBeside ? mergeScratch(stack.block) : 0;

  const usual = needs.tiling ?? model.tiling;
  /** The VAE's own memory, and what is beside it. */
  const beside = (more: number, { bytes, flops }: VaeEstimate) => ({ bytes: bytes + more, flops });
  const encodePlan = (room: number) =>
    planVae(
      (tiling) => beside(others.encode, vae.estimateEncode(size, { tiling, roughly: true })),
      usual,
      room,
      refusals,
    );
  const decodePlan = (room: number) =>
    planVae(
      (tiling) => beside(others.decode, vae.estimateDecode(latent, { tiling, roughly: true })),
      usual,
      room,
      refusals,
    );

  // What the transformer may keep on the device is bounded by what every other stage needs at the least.
  const plans = new Map<string, BlockDenoiserPlan | undefined>();
  const planBlocks = (twoPasses: boolean, parts: number) => {
    const key = `${twoPasses} ${parts}`;
    if (!plans.has(key)) {
      const plan = () => {
        const { network: own, weights } = model.stacked(parts > 1 ? { feedForwardParts: parts } : {});
        return planBlockDenoiser(
          device,
          own,
          weights,
          stack.block,
          { ...shape, twoPasses, cache },
          precision,
        );
      };
      plans.set(key, within(plan, refusals));
    }
    return plans.get(key);
  };
  const mayStay = model.vaeBytes + transformerBytes < budget;
  const inBlocks = mayStay ? planBlocks(false, 1) : undefined;
  const resident = cache
    ? inBlocks
    : inBlocks &&
      within(
        () => residentBytes(Denoiser.plan(device, model.network, shape, precision), inBlocks, stack.blocks),
        refusals,
      );
  const skips = cache ? `, ${cache === 'teacache' ? 'TeaCache' : 'first-block cache'}` : '';
  type Way = {
    choice: MemoryChoice;
    bytes: number;
    kept: number;
    planned: BlockDenoiserPlan;
    flops: number;
    reads: number;
    chosen: string;
  };
  const ways: Way[] = [];
  if (inBlocks && resident && model.vaeBytes + transformerBytes + others.denoise + resident.bytes <= budget) {
    ways.push({
      ...{
        choice: ALL_RESIDENT,
        bytes: others.denoise + resident.bytes,
        planned: inBlocks,
        flops: resident.flops,
        kept: transformerBytes,
        reads: 0,
      },
      chosen: `all blocks stay${skips}`,
    });
  }
  let least = Number.POSITIVE_INFINITY;
  /** Ways block by block, with as many blocks on the device as fit, `most` at the most. */
  const blockWays = (most: number): Way[] => {
    const found: Way[] = [];
    for (const twoPasses of guided ? [false, true] : [false]) {
      for (const parts of FEED_FORWARD_PARTS) {
        const planned = planBlocks(twoPasses, parts);
        if (!planned) continue;
        const own = others.denoise + planned.bytes;
        const fixed = model.vaeBytes + stack.outerBytes + own;
        const slots = 2 * stack.blockBytes + mergeBytes;
        least = Math.min(least, fixed + slots);
        const room = budget - fixed;
        const all = most === stack.blocks && room >= stack.blocks * stack.blockBytes;
        const streaming = Math.min(most, stack.blocks - 1, Math.floor((room - slots) / stack.blockBytes));
        const stays = all ? stack.blocks : streaming;
        if (stays < 0) continue;
        const away = stack.blocks - stays;
        found.push({
          choice: { text: 'come in blocks', twoPasses, residentBlocks: stays, feedForwardParts: parts },
          bytes: own + (away > 0 ? Math.min(away, 2) * stack.blockBytes + mergeBytes : 0),
          kept: stack.outerBytes + stays * stack.blockBytes,
          planned,
          flops: planned.flops,
          reads: away * stack.blockBytes,
          chosen: `${away === 0 ? 'all' : stays} of ${stack.blocks} blocks stay${away > 0 ? ', the others are streamed' : ''}${twoPasses ? ', guidance in two passes' : ''}${parts > 1 ? `, feed-forward in ${parts} parts` : ''}${skips}`,
        });
        if (all) return found;
      }
    }
    return found;
  };
  if (ways.length === 0) ways.push(...blockWays(stack.blocks));
  if (ways.length === 0) return misfit('denoise', least);
  const stepSeconds = ({ flops, reads }: Way) =>
    pace ? Math.max(flopSeconds(flops), readSeconds(reads)) : reads;
  const fastest = (of: readonly Way[]) =>
    of.reduce((best, other) => (stepSeconds(other) < stepSeconds(best) ? other : best));
  let way = fastest(ways);
  const leastText = text ? text.streamed : 0;
  const room = () => budget - model.vaeBytes - way.kept;
  let encode: VaePlan | undefined;
  let decode: VaePlan | undefined;
  for (;;) {
    encode = encodePlan(room());
    if (!encode) return misfit('encode', Number.POSITIVE_INFINITY);
    decode = decodePlan(room());
    if (!decode) return misfit('decode', Number.POSITIVE_INFINITY);
    const owns: [StageName, number][] = [
      ['text', leastText],
      ['encode', encode.bytes],
      ['denoise', way.bytes],
      ['decode', decode.bytes],
    ];
    const [stage, own] = owns.reduce((worst, other) => (other[1] > worst[1] ? other : worst));
    const over = own - room();
    if (over <= 0) break;
    // Fewer blocks stay where another stage is what does not fit.
    const stays = way.choice.residentBlocks ?? stack.blocks;
    const fewer = Math.max(0, Math.min(stays - 1, stays - Math.ceil(over / stack.blockBytes)));
    const next = stays === 0 ? [] : blockWays(fewer);
    if (next.length === 0) return misfit(stage, model.vaeBytes + stack.outerBytes + own);
    way = fastest(next);
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
  const steps = needs.numInferenceSteps;
  const work = guided ? 1 - (needs.cfgSkipRatio ?? 0) / 2 : 1;
  const stage = (
    name: StageName,
    own: number,
    flops: number,
    reads: number,
    chosen: string,
  ): PlannedStage => ({
    ...{ stage: name, stays, own, teraflops: flops / 1e12, reads, chosen },
    ...(pace && { seconds: Math.max(flopSeconds(flops), readSeconds(reads)) }),
  });
  const planned: PlannedStage[] = [
    ...(text
      ? [
          stage(
            'text',
            keepsText ? 0 : text.streamed,
            text.flops,
            keepsText ? 0 : text.weights,
            keepsText ? 'the encoder stays' : 'the encoder is streamed',
          ),
        ]
      : []),
    stage('encode', encode.bytes, 2 * encode.flops, 0, encode.chosen),
    stage('denoise', way.bytes, steps * work * way.flops, steps * way.reads, way.chosen),
    stage('decode', decode.bytes, decode.flops, 0, decode.chosen),
  ];
  const seconds = pace && readSeconds(stays) + planned.reduce((sum, { seconds: own = 0 }) => sum + own, 0);
  const { numFrames, height, width, numInferenceSteps } = needs;
  return {
    plan: {
      device: target.name,
      budget: target.budget,
      size: { numFrames, height, width, numInferenceSteps, guided },
      choice,
      stages: planned,
      kernels: kernelsOfStep(way.planned, stack.blocks),
      bytes: stays + Math.max(...planned.map(({ own }) => own)),
      loads: stays,
      ...(seconds !== undefined && { seconds }),
    },
  };
}

/**
 * One program with all weights.
 * @param plan of one block, since blocks share their memory one after the other.
 */
function residentBytes(
  plan: Plan,
  { begin, block }: BlockDenoiserPlan,
  blocks: number,
): { bytes: number; flops: number } {
  const more = blocks - 1;
  const inputs = specBytes(begin.inputs) + 16;
  return {
    bytes: inputs + ownBytes(plan) + more * block.plan.memory.uniforms,
    flops: plan.cost.flops + more * block.plan.cost.flops,
  };
}

function kernelsOfStep(
  { begin, block, end, combine, passes }: BlockDenoiserPlan,
  blocks: number,
): KernelWork[] {
  return workByKernel([
    { plan: begin.plan, times: passes },
    { plan: block.plan, times: passes * blocks },
    { plan: end.plan, times: passes },
    ...(combine ? [{ plan: combine.plan, times: 1 }] : []),
  ]);
}

interface TextPlan {
  readonly weights: number;
  /** Beside all weights. */
  readonly own: number;
  /** Beside nothing: two blocks, the rows of the prompt. */
  readonly streamed: number;
  readonly flops: number;
}

export function planText(
  text: NonNullable<ModelShapes['text']>,
  guided: boolean,
  tokens: number,
  device: ReturnType<typeof planningDevice>,
  precision: Precision,
): TextPlan {
  const { config, stored, shapes } = text;
  const batch = guided ? 2 : 1;
  const whole = planTextBlock(text, [batch, tokens], device, precision);
  const state = {
    x: spec([batch, tokens, config.width]),
    ...(!config.tablePerBlock && { bias: spec([1, config.heads, tokens, tokens]) }),
  };
  const { block } = t5Parts(config, [batch, tokens]);
  const planned = planBlock(
    device,
    (weights, given) => block(weights, 0, given),
    t5BlockPrefix(config, 0),
    shapes.block,
    state,
    precision,
  );
  const [table] = Object.values(stored(t5Parameters(config)));
  const tableBytes = specBytes({ table });
  return {
    weights: stackBytes(shapes),
    own: ownBytes(whole) + 2 * specBytes({ x: state.x }),
    streamed:
      shapes.outerBytes -
      tableBytes +
      Math.min(2, shapes.blocks) * shapes.blockBytes +
      specBytes(state) +
      ownBytes(planned.plan),
    flops: whole.cost.flops + (shapes.blocks - 1) * planned.plan.cost.flops,
  };
}

/** Of merging a LoRA into the largest weight of a block: the sum in f32, and what it becomes. */
function mergeScratch(block: Parameters<typeof specBytes>[0]): number {
  const largest = Math.max(...Object.entries(block).map(([name, one]) => specBytes({ [name]: one })));
  return 4 * largest;
}
