/**
 * JSON for files that name each thing once. `JSON.parse` silently keeps the last of two equal keys, so a
 * crafted header could show one tensor to a checker and another to a loader; here that is an error.
 */
import { InvalidFileError } from '../errors.ts';

/** A name from a file, quoted on one line and cut to a readable length. */
export function quote(name: unknown): string {
  const text = JSON.stringify(name) ?? String(name);
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}

/** First key that occurs twice in one object. `text` must be valid JSON. */
function duplicateKey(text: string): string | undefined {
  // Sets for open objects, null for open arrays.
  const open: (Set<string> | null)[] = [];
  const tokens = /[{}[\]]|"(?:[^"\\]|\\.)*"(\s*:)?/g;
  for (let match = tokens.exec(text); match; match = tokens.exec(text)) {
    const token = match[0];
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (match[1] !== undefined) {
      const key = JSON.parse(token.slice(0, token.length - match[1].length)) as string;
      const keys = open.at(-1)!;
      if (keys!.has(key)) return key;
      keys!.add(key);
    }
  }
  return undefined;
}

/**
 * Parses a JSON object from UTF-8 bytes.
 * @param part names the bytes within `file` in messages, e.g. `header`.
 * @throws InvalidFileError on bytes that are not UTF-8, not JSON, not an object, or that repeat a key.
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
  if (!isObject(value)) {
    throw new InvalidFileError(file, `${part} must be a JSON object, found ${quote(value)}`, { field: part });
  }
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) {
    throw new InvalidFileError(file, `${part} has the key ${quote(duplicate)} twice`, { field: duplicate });
  }
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
