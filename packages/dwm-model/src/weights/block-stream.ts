/**
 * The weights of a network's blocks, of which the first stay on the device and the others come from the file each time
 * that they are needed: into one of two sets of buffers, while the block before computes on the other.
 */
import { bytesOf, type Device, DeviceTensor, elementCount, type TensorSpec } from '@dwm/core-tensor';
import type { Checkpoint } from '@dwm/core-tensor/files';
import type { Blocks } from './blocks.ts';
import { deviceShape, fillTensor, type ParameterSpecs, Parameters, storedDtype } from './parameters.ts';

/** A checkpoint whose names and shapes were checked, not read. */
export interface StoredWeights {
  readonly checkpoint: Checkpoint;
  readonly specs: ParameterSpecs;
  /** The file's name of a parameter, where it is another than the network's. */
  readonly stored?: (name: string) => string;
}

interface BlockStreamOptions extends StoredWeights {
  /** Blocks of the network. */
  readonly blocks: number;
  /** What the names of a block's weights begin with. */
  readonly prefix: (index: number) => string;
  /** Names of weights that are always there, whatever block they begin like. */
  readonly outer?: (name: string) => boolean;
  /** Blocks that stay, from the first on; their weights are in `kept`. */
  readonly resident: number;
  readonly kept: Parameters;
}

export class BlockStream implements Blocks {
  readonly #device: Device;
  readonly #options: BlockStreamOptions;
  readonly #slots: (Parameters | undefined)[] = [undefined, undefined];
  readonly #coming = new Map<number, Promise<Parameters>>();
  readonly #merges: ((weights: Parameters) => Promise<void>)[] = [];
  readonly #closes: (() => Promise<void>)[] = [];
  #slot = 0;

  constructor(device: Device, options: BlockStreamOptions) {
    this.#device = device;
    this.#options = options;
  }

  get blocks(): number {
    return this.#options.blocks;
  }

  /** Bytes of the buffers that blocks come into. */
  get slotBytes(): number {
    const { blocks, resident } = this.#options;
    return Math.min(2, blocks - resident) * (resident < blocks ? specBytes(this.specs(blocks - 1)) : 0);
  }

  /** Shapes of all weights of the network by name, those outside the blocks too. */
  get shapes(): Map<string, readonly number[]> {
    return new Map(Object.entries(this.#options.specs).map(([name, own]) => [name, deviceShape(own)]));
  }

  /**
   * Changes every block's weights after they came: a LoRA. It may put other tensors in place.
   * @param close gives back what it reads, when the stream is destroyed.
   */
  mergeWith(merge: (weights: Parameters) => Promise<void>, close: () => Promise<void>): void {
    this.#merges.push(merge);
    this.#closes.push(close);
  }

  specs(index: number): Record<string, TensorSpec> {
    const { checkpoint, specs, stored = (name: string) => name, prefix, resident, kept } = this.#options;
    const found: Record<string, TensorSpec> = {};
    for (const [name, spec] of Object.entries(specs)) {
      const own = this.#ownName(name, index);
      if (own === undefined) continue;
      const there = index < resident ? kept.tensors.get(prefix(index) + own) : undefined;
      found[own] = there ?? {
        shape: deviceShape(spec),
        dtype: storedDtype(checkpoint.tensors.get(stored(name))!.dtype)!,
      };
    }
    for (const [name, tensor] of kept.tensors) {
      const own = this.#ownName(name, index);
      if (own !== undefined) found[own] ??= tensor;
    }
    return found;
  }

  async block(index: number): Promise<Record<string, DeviceTensor>> {
    const { resident, kept, prefix } = this.#options;
    const from = index < resident ? kept : await this.#fetch(index);
    const start = prefix(index);
    const found: Record<string, DeviceTensor> = {};
    for (const name of Object.keys(this.specs(index)))
      found[name] = (from.tensors.get(start + name) ?? kept.tensors.get(start + name))!;
    return found;
  }

  expect(index: number): void {
    if (index >= this.blocks || index < this.#options.resident) return;
    this.#fetch(index).catch(() => {});
  }

  /** Frees what was streamed: between steps nothing is kept. */
  async release(): Promise<void> {
    await Promise.allSettled(this.#coming.values());
    for (const slot of this.#slots) slot?.destroy();
    this.#slots.fill(undefined);
    this.#coming.clear();
  }

  /** Frees what was streamed and closes the files; the weights that stay are the caller's. */
  async destroy(): Promise<void> {
    await this.release();
    await this.#options.checkpoint.close();
    for (const close of this.#closes) await close();
  }

  #ownName(name: string, index: number): string | undefined {
    const { prefix, outer } = this.#options;
    const start = prefix(index);
    return name.startsWith(start) && !outer?.(name) ? name.slice(start.length) : undefined;
  }

  #fetch(index: number): Promise<Parameters> {
    let coming = this.#coming.get(index);
    if (!coming) {
      const slot = this.#slot;
      this.#slot = 1 - slot;
      // One block is written at a time.
      const before = [...this.#coming.values()];
      coming = Promise.allSettled(before).then(() => this.#fill(slot, index));
      this.#coming.set(index, coming);
      // Two are there: this one, and the one before it.
      for (const old of [...this.#coming.keys()].slice(0, -2)) this.#coming.delete(old);
    }
    return coming;
  }

  async #fill(slot: number, index: number): Promise<Parameters> {
    const { checkpoint, stored = (name: string) => name, prefix } = this.#options;
    const start = prefix(index);
    const specs = this.specs(index);
    const tensors = new Map<string, DeviceTensor>();
    // Buffers of a block of the same shapes are filled again; others go first, so that there are never more than two.
    const old = new Map([...(this.#slots[slot]?.tensors ?? [])].map(([, tensor], i) => [i, tensor]));
    this.#slots[slot] = undefined;
    const names = Object.keys(specs).filter((name) => start + name in this.#options.specs);
    for (const [i, name] of names.entries()) {
      const had = old.get(i);
      const { shape, dtype } = specs[name];
      if (had && !had.buffer.destroyed && had.dtype === dtype && had.shape.join() === shape.join()) {
        tensors.set(start + name, had);
        old.delete(i);
      }
    }
    for (const tensor of old.values()) tensor.destroy();
    try {
      for (const name of names) {
        const full = start + name;
        const tensor = tensors.get(full) ?? new DeviceTensor(this.#device, specs[name], full);
        tensors.delete(full);
        tensors.set(full, tensor);
        await fillTensor(tensor, checkpoint, stored(full));
      }
    } catch (error) {
      for (const tensor of tensors.values()) tensor.destroy();
      throw error;
    }
    const parameters = new Parameters(tensors);
    this.#slots[slot] = parameters;
    for (const merge of this.#merges) await merge(parameters);
    return parameters;
  }
}

/** Bytes of a block's weights on a device, buffers rounded up as they are. */
export const specBytes = (specs: Readonly<Record<string, TensorSpec>>): number =>
  Object.values(specs).reduce(
    (sum, { shape, dtype }) => sum + Math.ceil((elementCount(shape) * bytesOf(dtype)) / 16) * 16,
    0,
  );
