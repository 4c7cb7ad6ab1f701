/** Work done ahead in order: item n + depth starts loading when item n is taken. */
export class Prefetch<T> {
  readonly #load: (index: number) => Promise<T>;
  readonly #queue: Promise<T>[] = [];
  #next: number;
  #last: Promise<unknown> = Promise.resolve();

  /** @param load is never called for two items at a time. */
  constructor(first: number, depth: number, load: (index: number) => Promise<T>) {
    this.#next = first;
    this.#load = load;
    for (let i = 0; i < depth; i++) this.#start();
  }

  take(): Promise<T> {
    this.#start();
    return this.#queue.shift()!;
  }

  /** Waits until nothing is being loaded. */
  async settle(): Promise<void> {
    await this.#last.catch(() => {});
  }

  #start(): void {
    const index = this.#next++;
    const item = this.#last.then(() => this.#load(index));
    // Whoever takes the item gets the error.
    item.catch(() => {});
    this.#last = item;
    this.#queue.push(item);
  }
}
