/** A YAML file with values of the command line in place of its own, as plain data. */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { fileProblem, openPath } from '@dwm/core-tensor/node';
import { type Document, parse, parseDocument } from 'yaml';

/** Ours have a few kilobytes. */
const MAX_BYTES = 1 << 18;
/** Ours have three levels. The parser takes its time over thousands, and then the process down. */
const MAX_DEPTH = 100;

/** The first line of what a parser says, without its picture of the place. */
const reasonOf = (error: unknown): string => (error as Error).message.split('\n')[0].replace(/:$/, '');

/**
 * @param overrides `section.key=value`, the value as YAML.
 * @throws InvalidFileError for a file that is no YAML or does not end, InvalidArgumentError for an override that is
 *   none.
 */
export async function readYamlFile(file: string, overrides: readonly string[]): Promise<unknown> {
  const document = parseYaml(file, await readText(file));
  for (const override of overrides) setValue(document, file, override);
  let value: unknown;
  try {
    value = document.toJS();
    // A list that holds itself has no end.
    JSON.stringify(value);
  } catch (error) {
    const reason = error instanceof TypeError ? 'an alias refers to what holds it' : reasonOf(error);
    throw new InvalidFileError(file, `not valid YAML: ${reason}`);
  }
  return value;
}

async function readText(file: string): Promise<string> {
  const source = await openPath(file);
  try {
    if (source.size > MAX_BYTES) {
      throw new InvalidFileError(
        file,
        `has ${source.size} bytes, expected a YAML file of at most ${MAX_BYTES}`,
      );
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await source.read(0, source.size));
  } catch (error) {
    if (error instanceof TypeError) throw new InvalidFileError(file, 'is not text in UTF-8');
    if (error instanceof InvalidFileError) throw error;
    throw new InvalidFileError(file, fileProblem(error));
  } finally {
    await source.close?.();
  }
}

/** Whether a text opens more levels than any file of ours, by brackets, dashes or blanks. */
function isTooDeep(text: string): boolean {
  const levels = new RegExp(`(?:[-?:] +){${MAX_DEPTH}}|^ {${2 * MAX_DEPTH}}`, 'm');
  let depth = 0;
  for (const char of text) {
    if (char === '[' || char === '{') depth++;
    else if (char === ']' || char === '}') depth = Math.max(0, depth - 1);
    if (depth > MAX_DEPTH) return true;
  }
  return levels.test(text);
}

function parseYaml(file: string, text: string): Document {
  if (isTooDeep(text)) throw new InvalidFileError(file, 'not valid YAML: it is nested too deeply');
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem) throw new InvalidFileError(file, `not valid YAML: ${reasonOf(problem)}`);
  return document;
}

function setValue(document: Document, file: string, override: string): void {
  const at = override.indexOf('=');
  const path = override.slice(0, at).split('.');
  if (at < 1 || path.length < 2 || path.includes('')) {
    throw new InvalidArgumentError('override', `expected section.key=value, got "${override}"`);
  }
  try {
    const value = override.slice(at + 1);
    if (isTooDeep(value)) throw new Error('it is nested too deeply');
    document.setIn(path, parse(value));
  } catch (error) {
    throw new InvalidArgumentError('override', `"${override}" cannot be set in ${file}: ${reasonOf(error)}`);
  }
}
