/**
 * A batch for a causal network. Every block has a timestep of its own. It sees the blocks before it, noised to a
 * timestep of theirs: the clip's own, or from a random block on those that the network makes itself. As in `makeBatch`,
 * all draws follow from the seed and the position in the run.
 */
import { philox4x32, randomReference, spec } from '@dwm/core-tensor';
import { timestepTable } from '../../transformer/index.ts';
import { noiseLevels } from '../objective.ts';
import { type BatchRules, batchSpecs, type Example, makeBatch } from './batch.ts';

/** What more counts for a causal network. */
export interface CausalRules extends BatchRules {
  /** Timesteps of the history are drawn from 0 to this. */
  readonly historyTimestep: number;
  /** Whether the network's own blocks are seen. */
  readonly ownHistory?: boolean;
}

const KEYS = { choices: 0x43415530, noise: 0x43415531 };

const blocksOf = ({ size, config }: Pick<BatchRules, 'config' | 'size'>): number =>
  Math.ceil(size.frames / (config.causal?.block_frames ?? size.frames));

/** Shapes of a batch, by the names of `makeCausalBatch`. */
export function causalBatchSpecs(
  count: number,
  rules: Pick<CausalRules, 'config' | 'size' | 'ownHistory'>,
  tokens: number,
) {
  const specs = batchSpecs(count, rules, tokens);
  const blocks = blocksOf(rules);
  const [time, levels] = [spec([count, blocks, rules.config.innerDim]), spec([count, blocks, 3])];
  const history = { historyNoise: specs.noise, historyTime: time, historyLevels: levels };
  return { ...specs, time, levels, ...history, ...(rules.ownHistory && { own: spec([count, blocks]) }) };
}

/** The inputs of a causal `dwmObjective`. */
type CausalBatch = { readonly [K in keyof ReturnType<typeof causalBatchSpecs>]: Float32Array };

/** @param position of the first of the examples, counted over the whole run. */
export function makeCausalBatch(
  examples: readonly Example[],
  position: number,
  rules: CausalRules,
): CausalBatch {
  const { seed, config, alphasCumprod, timesteps: range, historyTimestep } = rules;
  const batch = makeBatch(examples, position, rules);
  const count = batch.noise.length / examples.length;
  const historyNoise = new Float32Array(batch.noise.length);
  const timesteps: number[] = [];
  const history: number[] = [];
  const blocks = blocksOf(rules);
  const own = new Float32Array(rules.ownHistory ? examples.length * blocks : 0);
  const within = (word: number, first: number, last: number) =>
    first + Math.floor((word / 2 ** 32) * (last - first + 1));
  for (let i = 0; i < examples.length; i++) {
    const at = position + i;
    const draw = (word: number) =>
      philox4x32([at >>> 0, Math.floor(at / 2 ** 32), word, 0], [seed >>> 0, KEYS.choices]);
    for (let block = 0; block < blocks; block++) {
      const [told, seen] = draw(block);
      timesteps.push(within(told, ...range));
      history.push(within(seen, 0, historyTimestep));
    }
    // Nothing sees the last.
    const firstOwn = within(draw(blocks)[0], 0, Math.max(0, blocks - 2));
    if (rules.ownHistory) own.fill(1, i * blocks + firstOwn, (i + 1) * blocks);
    const normals = { count, distribution: 'normal', stream: at >>> 0 } as const;
    historyNoise.set(randomReference(normals, [seed >>> 0, KEYS.noise]), i * count);
  }
  const told = (of: number[]) => timestepTable(of, config.innerDim, config);
  return {
    ...batch,
    ...{ time: told(timesteps), levels: noiseLevels(timesteps, alphasCumprod), historyNoise },
    ...{ historyTime: told(history), historyLevels: noiseLevels(history, alphasCumprod) },
    ...(rules.ownHistory && { own }),
  };
}
