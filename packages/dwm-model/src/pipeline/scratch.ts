import type { DeviceTensor } from '@dwm/core-tensor';

/** Keeps what is made on the way, and destroys all but what is handed over. */
export class Scratch {
  readonly #kept = new Set<{ destroy(): void }>();

  keep<T extends { destroy(): void }>(made: T): T {
    this.#kept.add(made);
    return made;
  }

  /** Leaves a value to the caller. */
  give<T extends { destroy(): void }>(made: T): T {
    this.#kept.delete(made);
    return made;
  }

  destroy(): void {
    for (const made of this.#kept) made.destroy();
    this.#kept.clear();
  }
}

/** Copies of all of them; of none where one cannot be made. */
export function cloneAll<T extends { readonly [K in keyof T]?: DeviceTensor }>(tensors: T): T {
  const own = new Scratch();
  const copies: Record<string, DeviceTensor> = {};
  try {
    for (const [name, tensor] of Object.entries<DeviceTensor | undefined>(tensors))
      if (tensor) copies[name] = own.keep(tensor.clone(name));
    return copies as T;
  } catch (error) {
    own.destroy();
    throw error;
  }
}
