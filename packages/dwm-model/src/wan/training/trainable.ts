/**
 * What Wan's LoRA trains: a low-rank update beside every linear layer, and whole the tensors whose names a pattern
 * finds. Layers that the objective does not reach keep their start, as an optimizer that skips them leaves it.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { lowRankTrainable, type Trainable } from '../../training/trainable.ts';
import type { Parameters } from '../../weights/parameters.ts';
import type { WanCLIPFeatures } from './objective.ts';

/** What a LoRA of Wan trains. */
interface WanLoraOptions {
  readonly rank: number;
  readonly alpha: number;
  /** Tensors are trained whole where one of these is found anywhere in their names, e.g. `patch_embedding`. */
  readonly trainablePatterns: readonly string[];
  readonly clipFeatures: WanCLIPFeatures;
  readonly seed: number;
}

/** Whether the objective reaches a tensor, or a layer: without a picture's features, not what only they go through. */
export const isReached =
  (clipFeatures: WanCLIPFeatures) =>
  (name: string): boolean =>
    clipFeatures !== 'none' || !name.startsWith('img_emb.');

/** Every linear layer of the network, by its module's name. */
const wanLinearModules = ({ tensors }: Pick<Parameters, 'tensors'>): string[] =>
  [...tensors]
    .filter(([name, { shape }]) => name.endsWith('.weight') && shape.length === 2)
    .map(([name]) => name.slice(0, -'.weight'.length));

/** The trained tensors of a LoRA of Wan. */
export interface WanLora extends Trainable {
  /** Elements of the packed tensor that are of low-rank updates: its beginning. */
  readonly lowRankLength: number;
  /** What is not reached, as it starts, by the names of the layout. */
  readonly idle: Trainable;
}

/** Low-rank updates of Wan's layers as trained tensors. */
export function wanLoraTrainable(parameters: Parameters, options: WanLoraOptions): WanLora {
  const { trainablePatterns, clipFeatures } = options;
  const patterns = trainablePatterns.map((pattern) => {
    try {
      return new RegExp(pattern);
    } catch (error) {
      throw new InvalidArgumentError(
        'trainable_parameter_patterns',
        `"${pattern}" is no regular expression (${(error as Error).message})`,
      );
    }
  });
  const modules = wanLinearModules(parameters);
  const reached = isReached(clipFeatures);
  const isIdle = (name: string) => !reached(name);
  const found = [...parameters.tensors.keys()].filter((name) => patterns.some((one) => one.test(name)));
  const trainable = lowRankTrainable(
    parameters,
    modules.filter((module) => !isIdle(module)),
    found.filter((name) => !isIdle(name)),
    options,
  );
  const firstWhole = found.find((name) => !isIdle(name));
  const { parts, length } = trainable.layout;
  return {
    ...trainable,
    lowRankLength: firstWhole === undefined ? length : parts.get(firstWhole)!.offset,
    idle: lowRankTrainable(parameters, modules.filter(isIdle), found.filter(isIdle), {
      ...options,
      // Draws of its own.
      seed: options.seed + 1,
    }),
  };
}
