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
