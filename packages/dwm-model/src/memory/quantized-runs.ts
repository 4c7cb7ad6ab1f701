/** What quantized weights would make of a run. */
import type { ModelShapes } from '../families/family.ts';
import { stackBytes } from '../families/symbols.ts';
import type { QuantizedDtype } from '../weights/quantized.ts';
import type { MemoryChoice } from './choice.ts';
import { chooseRun, type Planning } from './choose-run.ts';
import type { PlanTarget } from './devices.ts';
import { amountOf } from './refusal.ts';
import type { QuantizedRun, RunNeeds } from './run-plan.ts';

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
export function quantizedRuns(
  model: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
  planned: Planning,
): QuantizedRun[] {
  const runs: QuantizedRun[] = [];
  for (const dtype of ['int8', 'int4'] as const) {
    const shapes = model.quantized?.(dtype);
    const made = shapes && chooseRun(shapes, target, needs, planned);
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

export const quantizedRemedy = ({
  dtype,
  bytes,
  fileBytes,
  makingSeconds,
}: Omit<QuantizedRun, 'chosen'>): string =>
  `${dtype} weights, which take ${amountOf(bytes)} (\`quantize: ${dtype}\` makes ${amountOf(fileBytes)} of files in about ${Math.ceil(makingSeconds / 60)} min)`;

/** Whether blocks come and go. */
export const streams = ({ residentBlocks }: MemoryChoice, { stacked }: ModelShapes): boolean =>
  residentBlocks !== undefined && residentBlocks < stacked().shapes.blocks;

/** Of all networks of a model. */
const weightBytes = ({ stacked, text, vaeBytes }: ModelShapes): number =>
  vaeBytes + stackBytes(stacked().shapes) + (text ? stackBytes(text.shapes) : 0);
