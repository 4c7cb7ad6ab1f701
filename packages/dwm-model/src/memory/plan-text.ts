/** The text encoder: all of it on the device, or a block at a time. */
import { type Device, type Precision, spec } from '@dwm/core-tensor';
import type { ModelShapes } from '../families/family.ts';
import { planTextBlock, stackBytes } from '../families/symbols.ts';
import { t5BlockPrefix, t5Parameters, t5Parts } from '../text-encoder/network.ts';
import { ownBytes, planBlock } from '../weights/block-loop.ts';
import { specBytes } from '../weights/block-stream.ts';

export interface TextPlan {
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
  device: Device,
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
