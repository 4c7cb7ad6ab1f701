/** Reading a `config.json`: strict about keys, so that a misspelt or foreign option is never passed over. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import * as z from 'zod';

/** How many layers, or blocks of a level, a network has: a count that is listed in memory before any weight is read. */
export const layerCount = z.int().positive().max(1024);

/** Object schema that takes diffusers' own bookkeeping keys (leading `_`) and nothing else unknown. */
export function readConfig<T extends z.ZodRawShape>(
  schema: z.ZodObject<T>,
  json: unknown,
  file: string,
): z.infer<z.ZodObject<T>> {
  if (json === null || typeof json !== 'object' || Array.isArray(json)) {
    throw new InvalidFileError(file, 'expected a JSON object of settings');
  }
  const known = Object.fromEntries(Object.entries(json).filter(([key]) => !key.startsWith('_')));
  const result = z.strictObject(schema.shape).safeParse(known);
  if (result.success) return result.data as z.infer<z.ZodObject<T>>;
  const issue = result.error.issues[0];
  const field = issue.code === 'unrecognized_keys' ? issue.keys[0] : issue.path.join('.');
  const missing = issue.path.length === 1 && !(issue.path[0] in known);
  const problem =
    issue.code === 'unrecognized_keys'
      ? `unknown key; known keys are ${Object.keys(schema.shape).join(', ')}`
      : `${missing ? 'is missing; ' : ''}${issue.message.replace(/^Invalid input: /, '').replace(/, received undefined$/, '')}`;
  throw new InvalidFileError(file, `${field}: ${problem}`, { field });
}

/**
 * A value from a JSON file, as `schema` has it.
 * @throws InvalidFileError naming the first field that is otherwise.
 */
export function checkJson<T>(schema: z.ZodType<T>, json: unknown, file: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  const field = path.map(String).join('.') || 'the whole';
  throw new InvalidFileError(file, `${field}: ${message.replace(/^Invalid input: /, '')}`, { field });
}

/** A JSON file of a model folder, parsed. */
export async function readJson(folder: ModelFolder, path: string): Promise<{ json: unknown; file: string }> {
  const source = await folder.open(path);
  try {
    const bytes = await source.read(0, source.size);
    return { json: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), file: source.name };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) {
      throw new InvalidFileError(source.name, `not valid JSON (${error.message})`);
    }
    throw error;
  } finally {
    await source.close?.();
  }
}
