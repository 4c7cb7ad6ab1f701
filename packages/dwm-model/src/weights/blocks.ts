/** Where the weights of a network's blocks are, for what runs them one after the other. */
import type { DeviceTensor, TensorSpec } from '@dwm/core-tensor';
import type { Parameters } from './parameters.ts';

export interface Blocks {
  /** How many. */
  readonly blocks: number;
  /** Shape and dtype of the weights of block `index`, by their name in it. */
  specs(index: number): Record<string, TensorSpec>;
  /** The weights of block `index`, by their name in it; they hold until the next block but one is asked for. */
  block(index: number): Promise<Record<string, DeviceTensor>>;
  /** Begins to bring block `index`, if it is not there. */
  expect(index: number): void;
  /** Frees what was brought. */
  release(): Promise<void>;
}

/** Blocks that are all on the device. @param prefix what the names of a block's weights begin with. */
export function blocksAtHand(
  { tensors }: Parameters,
  blocks: number,
  prefix: (index: number) => string,
): Blocks {
  const of = (index: number): Record<string, DeviceTensor> => {
    const start = prefix(index);
    const own = [...tensors].filter(([name]) => name.startsWith(start));
    return Object.fromEntries(own.map(([name, tensor]) => [name.slice(start.length), tensor]));
  };
  return {
    blocks,
    specs: (index) =>
      Object.fromEntries(
        Object.entries(of(index)).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
      ),
    block: async (index) => of(index),
    expect: () => {},
    release: async () => {},
  };
}
