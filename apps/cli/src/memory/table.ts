/** A plan of memory as lines: a table of its stages, and in the last line whether and how it fits. */
import { isLivePlan, type LivePlan, type PlannedStage, type RunPlan } from '@dwm/dwm-model/memory';
import type { TrainingPlan } from '@dwm/dwm-model/node';
import { exists } from '../generate/files.ts';
import { clock, size } from '../report.ts';

const gb = (bytes: number) => (bytes / 1e9).toFixed(bytes < 1e8 ? 4 : 2);

const taken = (bytes: number, budget: number) =>
  `memory: ${size(bytes)}${Number.isFinite(budget) ? ` of ${size(budget)}` : ', the memory of this device is not known (--memory)'}`;

/** E.g. `fits in 11.93 GB of 12.0 GB: 33 of 42 blocks stay, the others are streamed; about 21:08`. */
export function planLine({ bytes, budget, stages, seconds }: RunPlan | TrainingPlan): string {
  const main = stages.find(({ stage }) => stage === 'denoise' || stage === 'step')!;
  const time = seconds === undefined ? '' : `; about ${clock(seconds)}`;
  return `${taken(bytes, budget)}: ${main.chosen}${time}`;
}

/** Likewise of a live run, with the frames a second that are expected. */
export function livePlanLine({ bytes, budget, stages, framesPerSecond }: LivePlan): string {
  const { chosen } = stages.find(({ stage }) => stage === 'live')!;
  const rate =
    framesPerSecond === undefined
      ? ''
      : `; about ${framesPerSecond.toFixed(framesPerSecond < 10 ? 1 : 0)} frames a second`;
  return `${taken(bytes, budget)}: ${chosen}${rate}`;
}

/** Its stages: work and time of `live` are a block's. */
export function liveTable(plan: LivePlan): string {
  const { frames, width, height, numInferenceSteps: steps } = plan.size;
  const title = `blocks of ${frames} frames of ${width}x${height}, ${steps} ${steps === 1 ? 'step' : 'steps'}, on ${plan.device}`;
  return [title, ...stageLines(plan.stages), livePlanLine(plan)].join('\n');
}

/**
 * What quantized weights would do for a run that streams blocks, a line each.
 * @param model its folder; quantized ones are looked for beside it, under its name and `-int8` or `-int4`.
 */
async function quantizedLines({ quantized = [] }: RunPlan, model: string): Promise<string[]> {
  const lines: string[] = [];
  for (const { dtype, bytes, chosen, seconds, fileBytes, makingSeconds } of quantized) {
    const folder = `${model.replace(/\/+$/, '')}-${dtype}`;
    const time = seconds === undefined ? '' : `; about ${clock(seconds)}`;
    const how = (await exists(folder))
      ? `--model ${folder} has them`
      : `dwm quantize --model ${model} --dtype ${dtype} --out ${folder} makes them, ${size(fileBytes)} in about ${clock(makingSeconds)}`;
    lines.push(`${dtype} weights would take ${size(bytes)}: ${chosen}${time} (${how})`);
  }
  return lines;
}

/** What is said before weights are read. @param model the folder of the model that is planned. */
export const planLines = async (plan: RunPlan | LivePlan, model: string): Promise<string[]> =>
  isLivePlan(plan) ? [livePlanLine(plan)] : [planLine(plan), ...(await quantizedLines(plan, model))];

/** @param model the folder of the model that is planned. */
export async function planTable(plan: RunPlan | LivePlan, model: string): Promise<string> {
  if (isLivePlan(plan)) return liveTable(plan);
  const { size: run, device, stages } = plan;
  const guided = run.guided ? ', guided' : '';
  const title = `${run.numFrames} frames of ${run.width}x${run.height}, ${run.numInferenceSteps} ${run.numInferenceSteps === 1 ? 'step' : 'steps'}${guided}, on ${device}`;
  return [title, ...stageLines(stages), ...(await quantizedLines(plan, model)), planLine(plan)].join('\n');
}

/** Likewise of a training. */
export function trainingTable(plan: TrainingPlan): string {
  const { mode, samples, numFrames, width, height, steps } = plan.size;
  const title = `mode ${mode}: ${steps} steps of ${samples} samples, ${numFrames} frames of ${width}x${height}, on ${plan.device}`;
  return [title, ...stageLines(plan.stages), planLine(plan)].join('\n');
}

function stageLines(stages: readonly PlannedStage[]): string[] {
  const rows = [
    ['stage', 'stays GB', 'own GB', 'sum GB', 'TFLOP', 'read GB', 'time', 'chosen'],
    ...stages.map(({ stage, stays, own, teraflops, reads, seconds, chosen }) => [
      stage,
      gb(stays),
      gb(own),
      gb(stays + own),
      teraflops.toFixed(teraflops < 10 ? 2 : 0),
      gb(reads),
      seconds === undefined ? '' : clock(seconds),
      chosen,
    ]),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const last = rows[0].length - 1;
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 || column === last ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
      )
      .join('  ')
      .trimEnd(),
  );
}
