/**
 * JSON for files that name each thing once. `JSON.parse` silently keeps the last of two equal keys, so a
 * crafted header could show one tensor to a checker and another to a loader; here that is an error.
 */
import { InvalidFileError } from '../errors.ts';
import { quote } from '../text.ts';

/** Deeper than any real header or index; bounds the work on hostile ones. */
const MAX_DEPTH = 100;

/** What `JSON.parse` let through in valid JSON and we do not: a repeated key, or endless nesting. */
function findFault(text: string): string | undefined {
  // Sets for open objects, null for open arrays.
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{' || char === '[') {
      if (open.push(char === '{' ? new Set() : null) > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH}`;
    } else if (char === '}' || char === ']') {
      open.pop();
    } else if (char === '"') {
      const start = at++;
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
      let next = at + 1;
      while (/\s/.test(text[next] ?? '')) next++;
      if (text[next] !== ':') continue;
      // Parsed, since "a" can also be spelt "\u0061".
      const key = JSON.parse(text.slice(start, at + 1)) as string;
      const keys = open.at(-1)!;
      if (keys.has(key)) return `has the key ${quote(key)} twice`;
      keys.add(key);
    }
  }
  return undefined;
}

/**
 * Parses a JSON object from UTF-8 bytes.
 * @param part names the bytes within `file` in messages, e.g. `header`.
 * @throws InvalidFileError on bytes that are not UTF-8, not JSON, not an object, nested endlessly, or that repeat
 * a key.
 */
export function parseJsonObject(bytes: Uint8Array, file: string, part: string): Record<string, unknown> {
  let value: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message.replace(/\s+/g, ' ') : 'not UTF-8';
    throw new InvalidFileError(file, `${part} is not valid JSON (${reason.slice(0, 160)})`, { field: part });
  }
  const fault = findFault(text);
  if (fault) throw new InvalidFileError(file, `${part} ${fault}`, { field: part });
  if (!isObject(value)) {
    throw new InvalidFileError(file, `${part} must be a JSON object, found ${quote(value)}`, { field: part });
  }
  return value;
}

/** Whether a parsed JSON value is an object, and no list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
