/** Frames come four at a time, and are shown one by one, as far apart as the blocks are. */
import type { Frames } from '@dwm/media';

export interface Shown {
  readonly clip: Frames;
  readonly frame: number;
}

export class Player {
  readonly #show: (shown: Shown) => void;
  readonly #interval: () => number;
  #coming: Shown[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param interval milliseconds from a frame to the next. */
  constructor(show: (shown: Shown) => void, interval: () => number) {
    this.#show = show;
    this.#interval = interval;
  }

  add(clip: Frames): void {
    // Whoever falls behind by a block has newer things to see.
    if (this.#coming.length > clip.frames) this.#coming = [];
    for (let frame = 0; frame < clip.frames; frame++) this.#coming.push({ clip, frame });
    if (this.#timer === undefined) this.#next();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#coming = [];
  }

  #next(): void {
    const shown = this.#coming.shift();
    this.#timer = shown && setTimeout(() => this.#next(), this.#interval());
    if (shown) this.#show(shown);
  }
}
