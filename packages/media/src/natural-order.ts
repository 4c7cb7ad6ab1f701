/** Names in the order that people number them in: `2.png` before `10.png`, whatever stands around the numbers. */

/** Compares for `sort`: runs of digits by their value, everything else by its characters. */
export function naturalOrder(a: string, b: string): number {
  const [as, bs] = [parts(a), parts(b)];
  for (let i = 0; i < Math.min(as.length, bs.length); i++) {
    const order = comparePart(as[i], bs[i]);
    if (order !== 0) return order;
  }
  // 1 and 01: the shorter name first, but always the same.
  return as.length - bs.length || a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

const parts = (name: string) => name.match(/\d+|\D+/g) ?? [];

function comparePart(a: string, b: string): number {
  if (/\d/.test(a[0]) && /\d/.test(b[0])) {
    const [x, y] = [a.replace(/^0+(?=\d)/, ''), b.replace(/^0+(?=\d)/, '')];
    return x.length - y.length || (x < y ? -1 : x > y ? 1 : 0);
  }
  return a < b ? -1 : a > b ? 1 : 0;
}
