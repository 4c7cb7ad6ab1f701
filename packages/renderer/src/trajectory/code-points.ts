/**
 * Orders names as Python and C++ do, by Unicode code points. JavaScript's own order is by UTF-16 units, which puts
 * characters beyond U+FFFF before U+E000..U+FFFF.
 */
export function byCodePoints(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < Math.min(left.length, right.length); i++)
    if (left[i] !== right[i]) return left[i].codePointAt(0)! - right[i].codePointAt(0)!;
  return left.length - right.length;
}
