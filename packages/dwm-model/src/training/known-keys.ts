/** Which known key a misspelt one was most likely meant to be. */

/** Letters to put in, take out or change to make `b` of `a` (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

/** A name in the form that ours have, whatever its case and whatever joins its words. */
const plain = (name: string) =>
  name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toLowerCase();

/**
 * @param key `section.key`.
 * @param known keys of that form.
 * @returns the nearest: in its own section first, then of the same name elsewhere; undefined where none is near.
 */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  const split = (path: string) => {
    const at = path.lastIndexOf('.');
    return { section: path.slice(0, Math.max(0, at)), name: plain(path.slice(at + 1)) };
  };
  const own = split(key);
  let best: string | undefined;
  let least = Math.max(2, Math.ceil(own.name.length / 3)) + 0.5;
  for (const path of known) {
    const { section, name } = split(path);
    // One section off weighs as much as a letter or so.
    const far = distance(own.name, name) + (section === own.section ? 0 : 1.25);
    if (far < least) [best, least] = [path, far];
  }
  return best;
}
