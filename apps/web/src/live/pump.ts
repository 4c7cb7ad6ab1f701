/**
 * Hand frames into blocks, and blocks into the model: two under way at most, and a third that waits at most. A frame
 * that finds no place is refused, so the hand's time never runs ahead of the model's.
 */
const IN_FLIGHT = 2;

export class Pump<Frame, Block> {
  readonly #frames: { readonly first: number; readonly next: number };
  readonly #push: (frames: readonly Frame[]) => Promise<Block>;
  readonly #onBlock: (block: Block, frames: readonly Frame[]) => void;
  #pushed: number;
  #waiting: Frame[] = [];
  #last: Promise<void> = Promise.resolve();
  #underWay = 0;
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param frames of a run's first block, and of each that follows.
   * @param pushed blocks of the run that went before.
   * @param onBlock is told of blocks one after the other, in the order of their pushes.
   */
  constructor(
    frames: { readonly first: number; readonly next: number },
    pushed: number,
    push: (frames: readonly Frame[]) => Promise<Block>,
    onBlock: (block: Block, frames: readonly Frame[]) => void,
  ) {
    this.#frames = frames;
    this.#pushed = pushed;
    this.#push = push;
    this.#onBlock = onBlock;
  }

  /** Blocks of the run that were pushed by now. */
  get pushed(): number {
    return this.#pushed;
  }

  /** A push failed: nothing is taken any more, and `end` throws why. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** The model has as much to do as it may be given. */
  get isFull(): boolean {
    return this.#underWay === IN_FLIGHT;
  }

  /** Frames that come before the hand's own: all of them are taken. */
  begin(frames: readonly Frame[]): void {
    this.#waiting.push(...frames);
    this.#pump();
  }

  /** @returns whether there was a place for it. */
  offer(frame: Frame): boolean {
    if (this.#failure || this.#waiting.length >= this.#size) return false;
    this.#waiting.push(frame);
    this.#pump();
    return true;
  }

  /**
   * Fills the block that was begun with its last frame, and waits for all that is under way.
   * @throws what a push threw.
   */
  async end(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#failure) {
      while (this.#waiting.length < this.#size) this.#waiting.push(this.#waiting.at(-1)!);
      this.#pump();
      if (this.isFull) await this.#last;
    }
    await this.#last;
    if (this.#failure) throw this.#failure.error;
  }

  get #size(): number {
    return this.#pushed === 0 ? this.#frames.first : this.#frames.next;
  }

  #pump(): void {
    while (!this.#failure && !this.isFull && this.#waiting.length >= this.#size) {
      const frames = this.#waiting.splice(0, this.#size);
      this.#pushed++;
      this.#underWay++;
      const block = this.#push(frames);
      const before = this.#last;
      this.#last = this.#settle(before, block, frames);
    }
  }

  async #settle(before: Promise<void>, block: Promise<Block>, frames: readonly Frame[]): Promise<void> {
    try {
      const [made] = await Promise.all([block, before]);
      if (!this.#failure) this.#onBlock(made, frames);
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#underWay--;
    }
    this.#pump();
  }
}
