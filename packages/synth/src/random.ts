/**
 * Random numbers that a seed decides alone. Every part of a clip draws from its own stream (`fork`), so a new choice in
 * one place does not change all others.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = scramble(seed);
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

  /** A stream of its own, which no other seed has by that name, however much was drawn before. */
  static fork(seed: number, name: string): Random {
    let hash = seed >>> 0;
    for (let i = 0; i < name.length; i++) hash = scramble(hash ^ name.charCodeAt(i));
    return new Random(hash);
  }
}

/** 32 bits to 32 bits, one to one, so that seeds never meet: MurmurHash3's finalizer by Austin Appleby, public domain. */
function scramble(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function mix(value: number): number {
  let t = Math.imul(value ^ (value >>> 15), value | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return (t ^ (t >>> 14)) >>> 0;
}
