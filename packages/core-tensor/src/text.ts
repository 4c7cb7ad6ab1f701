/**
 * Text of others made safe to show. A name in a file may hold escape sequences that rewrite a terminal, newlines
 * that forge a second message, or marks that turn the order of letters round; all of it is shown as escapes.
 * Every `DwmError` passes its message through here, and so does whatever the command prints.
 */

/** Controls, format characters (bidi marks and overrides among them), line separators, lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** JSON's escape: `\u202e`; two of them above U+FFFF. */
function unicodeEscape(char: string): string {
  let out = '';
  for (let i = 0; i < char.length; i++) out += `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return out;
}

/** `text` on one line, with nothing in it that a terminal would obey: `\n`, `\u001b`, `\u202e` are spelt out. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => SHORT[char] ?? unicodeEscape(char));
}

/** JSON that is safe to show: `JSON.stringify` leaves DEL, the C1 controls and bidi marks as they are. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, unicodeEscape);
}

/** The beginning of `text`, at most `length` characters, never half of a surrogate pair. */
function beginning(text: string, length: number): string {
  const cut = text.slice(0, length);
  return /[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut;
}

/** Longer than any sentence of ours; the rest of such a message is a name. */
const MAX_MESSAGE = 1200;

/** A message on one printable line. A long one is cut in its middle: what failed and what to do stand at its ends. */
export function oneLine(message: string): string {
  const line = printable(message);
  if (line.length <= MAX_MESSAGE) return line;
  const tail = line.slice(-MAX_MESSAGE / 3).replace(/^[\uDC00-\uDFFF]/, '');
  return `${beginning(line, (MAX_MESSAGE * 2) / 3)} … ${tail}`;
}

const MAX_QUOTED = 100;

/** A name or value from a file, quoted, printable, and cut to a readable length. */
export function quote(value: unknown): string {
  if (typeof value === 'string' && value.length > MAX_QUOTED)
    return printableJson(`${beginning(value, MAX_QUOTED - 3)}...`);
  const text = value === undefined ? 'undefined' : printableJson(value);
  return text.length > MAX_QUOTED ? `${beginning(text, MAX_QUOTED - 3)}...` : text;
}
