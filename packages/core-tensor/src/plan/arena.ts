/**
 * Where intermediates live. Each gets an offset in a slab (one GPU buffer) for the steps it is alive, so
 * memory is reused as soon as its last reader has run. WebGPU forbids one buffer to be both read-only and
 * writable in a dispatch, so what a dispatch reads and what it writes are kept in different slabs.
 */
export interface Interval {
  readonly bytes: number;
  /** First and last dispatch that has the bytes in use. */
  readonly start: number;
  readonly end: number;
}

interface Placement {
  readonly slab: number;
  readonly offset: number;
}

interface Arena {
  readonly placements: readonly Placement[];
  /** Bytes of each slab. */
  readonly slabs: readonly number[];
}

/** Lowest offset in a slab where `item` fits beside everything alive at the same time. */
function lowestFit(item: Interval, placed: readonly { item: Interval; offset: number }[]): number {
  const neighbours = placed
    .filter(({ item: other }) => other.start <= item.end && item.start <= other.end)
    .sort((a, b) => a.offset - b.offset);
  let offset = 0;
  for (const { item: other, offset: taken } of neighbours) {
    if (offset + item.bytes <= taken) break;
    offset = Math.max(offset, taken + other.bytes);
  }
  return offset;
}

/**
 * Greedy, each item where it makes its slab grow least; once largest first and once in order of time, and the
 * smaller arena wins.
 *
 * @param apart pairs of items that must not share a slab.
 * @param alignment every offset and size is rounded up to it.
 * @param maxSlab most bytes a slab may have; one item is never split.
 */
export function placeIntervals(
  items: readonly Interval[],
  apart: ReadonlyMap<number, ReadonlySet<number>>,
  alignment: number,
  maxSlab: number,
): Arena {
  const aligned = items.map((item) => ({ ...item, bytes: Math.ceil(item.bytes / alignment) * alignment }));
  const indices = [...aligned.keys()];
  const bySize = [...indices].sort((a, b) => aligned[b].bytes - aligned[a].bytes || a - b);
  const byTime = [...indices].sort((a, b) => aligned[a].start - aligned[b].start || a - b);
  const total = ({ slabs }: Arena) => slabs.reduce((a, b) => a + b, 0);
  const [first, second] = [bySize, byTime].map((order) => placeInOrder(aligned, order, apart, maxSlab));
  return total(second) < total(first) ? second : first;
}

function placeInOrder(
  items: readonly Interval[],
  order: readonly number[],
  apart: ReadonlyMap<number, ReadonlySet<number>>,
  maxSlab: number,
): Arena {
  const placements = new Array<Placement>(items.length);
  const slabs: { bytes: number; contents: { item: Interval; offset: number; index: number }[] }[] = [];
  for (const i of order) {
    const item = items[i];
    const enemies = apart.get(i);
    let best: { slab: number; offset: number; growth: number } | undefined;
    for (const [slab, { bytes, contents }] of slabs.entries()) {
      if (enemies && contents.some(({ index }) => enemies.has(index))) continue;
      const offset = lowestFit(item, contents);
      if (offset + item.bytes > maxSlab) continue;
      const growth = Math.max(0, offset + item.bytes - bytes);
      if (!best || growth < best.growth) best = { slab, offset, growth };
    }
    if (!best || best.growth >= item.bytes) {
      best = { slab: slabs.length, offset: 0, growth: item.bytes };
      slabs.push({ bytes: 0, contents: [] });
    }
    const { slab, offset } = best;
    placements[i] = { slab, offset };
    slabs[slab].contents.push({ item, offset, index: i });
    slabs[slab].bytes = Math.max(slabs[slab].bytes, offset + item.bytes);
  }
  return { placements, slabs: slabs.map(({ bytes }) => bytes) };
}
