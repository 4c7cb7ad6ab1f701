/**
 * Random numbers that a seed decides alone. Every part of a clip draws from its own stream (`fork`), so a new choice in
 * one place does not change all others.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = mix(seed >>> 0);
  }

  /** Uniform in [0, 1): mulberry32 by Tommy Ettinger, public domain. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    return mix(this.#state) / 2 ** 32;
  }

  uniform(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** Whole number from `low` to `high`, both possible. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)];
  }

  /** One of the items, each as often as its share of all shares says. */
  weighted<T>(items: readonly (readonly [item: T, share: number])[]): T {
    let left = this.uniform(
      0,
      items.reduce((sum, [, share]) => sum + share, 0),
    );
    for (const [item, share] of items) {
      left -= share;
      if (left < 0) return item;
    }
    return items[0][0];
  }

  /** -1 or 1. */
  sign(): number {
    return this.next() < 0.5 ? -1 : 1;
  }

  /** A stream of its own, the same for the same seed and name however much was drawn before. */
  static fork(seed: number, name: string): Random {
    let hash = seed >>> 0;
    for (let i = 0; i < name.length; i++) hash = mix((hash ^ name.charCodeAt(i)) >>> 0);
    return new Random(hash);
  }
}

function mix(value: number): number {
  let t = Math.imul(value ^ (value >>> 15), value | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return (t ^ (t >>> 14)) >>> 0;
}
