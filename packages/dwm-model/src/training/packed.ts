/**
 * Everything that is trained, in one f32 tensor: optimizer, clipping, averaging and checkpoints then each work
 * on a single tensor, and the network reads its parts in place. Parts start at multiples of 64 elements, which
 * is the alignment of a binding; the gaps stay zero.
 */
import {
  concat,
  constant,
  elementCount,
  InvalidArgumentError,
  reshape,
  slice,
  type Tensor,
} from '@dwm/core-tensor';

const ALIGNMENT = 64;

interface PackedPart {
  readonly shape: readonly number[];
  readonly offset: number;
}

/** Where each of many tensors lies in one packed tensor. */
export class PackedLayout {
  readonly parts: ReadonlyMap<string, PackedPart>;
  /** Elements in all, gaps included. */
  readonly length: number;

  /** @param shapes by name, in the order they are packed. */
  constructor(shapes: Readonly<Record<string, readonly number[]>>) {
    const parts = new Map<string, PackedPart>();
    let offset = 0;
    for (const [name, shape] of Object.entries(shapes)) {
      parts.set(name, { shape, offset });
      offset += Math.ceil(elementCount(shape) / ALIGNMENT) * ALIGNMENT;
    }
    this.parts = parts;
    this.length = offset;
  }

  /** Numbers that are trained, without gaps. */
  get trained(): number {
    let count = 0;
    for (const { shape } of this.parts.values()) count += elementCount(shape);
    return count;
  }

  /** The part called `name` of a packed tensor. */
  part(packed: Tensor, name: string): Tensor {
    const { shape, offset } = this.#find(name);
    return reshape(slice(packed, 0, offset, elementCount(shape)), shape);
  }

  /** One packed tensor of separate ones; gaps are zero. */
  pack(tensors: ReadonlyMap<string, Tensor>): Tensor {
    const flat: Tensor[] = [];
    for (const [name, { shape }] of this.parts) {
      const tensor = tensors.get(name);
      if (!tensor) throw new InvalidArgumentError('tensors', `${name} is missing`);
      const count = elementCount(shape);
      flat.push(reshape(tensor, [count]));
      const gap = Math.ceil(count / ALIGNMENT) * ALIGNMENT - count;
      if (gap > 0) flat.push(constant(new Float32Array(gap), [gap]));
    }
    return concat(flat, 0);
  }

  /** The values of one part in a host copy of the packed tensor. */
  values(packed: Float32Array, name: string): Float32Array {
    const { shape, offset } = this.#find(name);
    return packed.subarray(offset, offset + elementCount(shape));
  }

  #find(name: string): PackedPart {
    const part = this.parts.get(name);
    if (!part) throw new InvalidArgumentError('name', `${name} is not packed here`);
    return part;
  }
}
