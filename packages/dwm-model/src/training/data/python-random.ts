/**
 * Python's `random` as far as shuffling a list needs it, so that a seed gives the split that the original's script gives:
 * the Mersenne Twister MT19937 of Matsumoto and Nishimura, seeded by a whole number as CPython does.
 */

const N = 624;
const M = 397;

export class PythonRandom {
  readonly #state = new Uint32Array(N);
  #index = N;

  /** @param seed a whole number from 0 up. */
  constructor(seed: number) {
    const key: number[] = [];
    for (let rest = seed; key.length === 0 || rest > 0; rest = Math.floor(rest / 2 ** 32))
      key.push(rest >>> 0);
    const s = this.#state;
    s[0] = 19_650_218;
    for (let i = 1; i < N; i++) s[i] = Math.imul(1_812_433_253, s[i - 1] ^ (s[i - 1] >>> 30)) + i;
    let i = 1;
    let j = 0;
    const advance = () => {
      if (++i < N) return;
      s[0] = s[N - 1];
      i = 1;
    };
    for (let k = Math.max(N, key.length); k > 0; k--) {
      s[i] = (s[i] ^ Math.imul(s[i - 1] ^ (s[i - 1] >>> 30), 1_664_525)) + key[j] + j;
      advance();
      j = (j + 1) % key.length;
    }
    for (let k = N - 1; k > 0; k--) {
      s[i] = (s[i] ^ Math.imul(s[i - 1] ^ (s[i - 1] >>> 30), 1_566_083_941)) - i;
      advance();
    }
    s[0] = 0x80000000;
  }

  /** 32 random bits. */
  #next(): number {
    const s = this.#state;
    if (this.#index === N) {
      for (let i = 0; i < N; i++) {
        const y = (s[i] & 0x80000000) | (s[(i + 1) % N] & 0x7fffffff);
        s[i] = s[(i + M) % N] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.#index = 0;
    }
    let y = s[this.#index++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** A whole number in [0, below), below at most 2^32. */
  below(below: number): number {
    const bits = 32 - Math.clz32(below);
    for (;;) {
      const drawn = bits === 0 ? 0 : this.#next() >>> (32 - bits);
      if (drawn < below) return drawn;
    }
  }

  /** Shuffles in place (Fisher and Yates, from the end). */
  shuffle<T>(list: T[]): void {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [list[i], list[j]] = [list[j], list[i]];
    }
  }
}
