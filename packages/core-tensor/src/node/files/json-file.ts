/** JSON files that an earlier run left. */
import { InvalidFileError } from '../../errors.ts';
import { parseJsonObject } from '../../files/json.ts';
import { fileProblem, readRegularFile } from './path-source.ts';

/**
 * @param part what the file is, in messages.
 * @throws InvalidFileError where it is missing, or holds no JSON object.
 */
export async function readJsonFile(path: string, part: string): Promise<Record<string, unknown>> {
  const bytes = await readRegularFile(path).catch((error) => {
    throw new InvalidFileError(path, fileProblem(error));
  });
  return parseJsonObject(bytes, path, part);
}
