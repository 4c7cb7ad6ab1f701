/** Work done ahead in order: item n + depth starts loading when item n is taken. */
export class Prefetch<T> {
  readonly #load: (index: number) => Promise<T>;
  readonly #overlap: boolean;
  readonly #queue: Promise<T>[] = [];
  #next: number;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param depth most items that are loading or wait to be taken.
   * @param load is called for one item at a time; with `overlap`, for all that may be ahead at once.
   */
  constructor(
    first: number,
    depth: number,
    load: (index: number) => Promise<T>,
    { overlap = false }: { readonly overlap?: boolean } = {},
  ) {
    this.#next = first;
    this.#load = load;
    this.#overlap = overlap;
    for (let i = 0; i < depth; i++) this.#start();
  }

  /** The next item, as soon as it is there. */
  take(): Promise<T> {
    this.#start();
    return this.#queue.shift()!;
  }

  /** Waits until nothing is being loaded. */
  async settle(): Promise<void> {
    await Promise.allSettled([this.#last, ...this.#queue]);
  }

  #start(): void {
    const index = this.#next++;
    const item = this.#overlap ? this.#load(index) : this.#last.then(() => this.#load(index));
    // Whoever takes the item gets the error.
    item.catch(() => {});
    this.#last = item;
    this.#queue.push(item);
  }
}
