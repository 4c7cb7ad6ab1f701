/** Damage, by a seed: the same seed, sample and number give the same bytes on every machine. */

/** A small generator of whole numbers below a bound: xorshift32. */
export type Below = (bound: number) => number;

export function randomSource(...seeds: readonly number[]): Below {
  let state = 0x9e3779b9;
  for (const seed of seeds) state = (Math.imul(state ^ seed, 0x85ebca6b) ^ (state >>> 13)) >>> 0;
  state ||= 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % bound;
  };
}

const pick = <T>(below: Below, from: readonly T[]): T => from[below(from.length)];

/** Values that readers trip over. */
const VALUES = [
  -1,
  0,
  1,
  255,
  65_536,
  2 ** 31,
  2 ** 53,
  1e308,
  -0.5,
  null,
  true,
  '',
  '\x1b[2J\n',
  'a\u202eb',
  '\ud800',
  '../../etc/passwd',
  'x'.repeat(5000),
  [],
  {},
  [[]],
  [1e9, 1e9, 1e9],
];

/** Text in place of text: numbers and signs of every format, and what a terminal would obey. */
const WORDS = [
  ...['NaN', '1e999', '-1', '99999999999', 'null', 'true', '{', '}', '[[[[', ']', '"', ',', ':', '\n', '\r'],
  ...['0', '*x', '&a', '- ', '%ZZ', '../', '\x1b[31m', '\0', '\x7f', '\x9b', '\u202e', '\ufeff', '\\u0000'],
];

const WORDS_OF_BITS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** One to five faults in the bytes: flipped bits, extreme numbers, words, pieces that are missing or there twice. */
export function mutateBytes(bytes: Uint8Array, below: Below): Uint8Array {
  let copy = Buffer.from(bytes);
  for (let faults = 1 + below(5); faults > 0 && copy.length > 0; faults--) {
    // Half of all faults go where headers are.
    const at = below(2) ? below(copy.length) : below(Math.min(copy.length, 128));
    switch (below(8)) {
      case 0:
        copy = copy.subarray(0, at);
        break;
      case 1:
      case 2:
        copy[at] ^= 1 << below(8);
        break;
      case 3:
        copy[at] = below(256);
        break;
      case 4: {
        const value = pick(below, WORDS_OF_BITS);
        if (at + 4 > copy.length) break;
        if (below(2)) copy.writeUInt32LE(value, at);
        else copy.writeUInt32BE(value, at);
        break;
      }
      case 5:
        copy.write(pick(below, WORDS), at);
        break;
      case 6: {
        const end = Math.min(copy.length, at + 1 + below(40));
        copy = Buffer.concat([copy.subarray(0, end), copy.subarray(at)]);
        break;
      }
      default:
        copy = Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1 + below(30))]);
    }
  }
  return new Uint8Array(copy);
}

/** One to three values of a JSON text changed, taken out, or put somewhere else; the text stays JSON. */
export function mutateJson(text: string, below: Below): string {
  const root = { value: JSON.parse(text) as unknown };
  for (let faults = 1 + below(3); faults > 0; faults--) {
    const places: [Record<string, unknown>, string][] = [];
    const visit = (holder: Record<string, unknown>) => {
      for (const key of Object.keys(holder)) {
        places.push([holder, key]);
        const value = holder[key];
        if (typeof value === 'object' && value !== null) visit(value as Record<string, unknown>);
      }
    };
    visit(root);
    if (places.length === 0) break;
    const [holder, key] = pick(below, places);
    const kind = below(6);
    if (kind === 0) delete holder[key];
    else if (kind === 1 && !Array.isArray(holder)) holder[String(pick(below, VALUES))] = holder[key];
    else if (kind === 2) {
      const [other, from] = pick(below, places);
      holder[key] = structuredClone(other[from]);
    } else holder[key] = structuredClone(pick(below, VALUES));
  }
  return JSON.stringify(root.value) ?? '';
}
