/**
 * The default model from the end of its training: npx tsx tools/export-tiny.ts runs/dwm-tiny/decoder/model
 * Writes models/dwm-tiny with f16 weights and what it was trained for, and refuses to make the repository heavy.
 */
import { cp, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeHalfModel } from '@dwm/dwm-model/node';

const LIMIT = 24e6;
const ROOT = join(import.meta.dirname, '..');
const TARGET = join(ROOT, 'models/dwm-tiny');

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;

async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async ({ parentPath, name }) => stat(join(parentPath, name))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

const [trained, ...rest] = process.argv.slice(2);
if (!trained || rest.length > 0) {
  process.stderr.write('expected one argument: the model folder that a training run made\n');
  process.exit(1);
}
try {
  for (const { part, parameters, bytes } of await writeHalfModel(trained, TARGET))
    process.stdout.write(
      `${part.padEnd(13)} ${(parameters / 1e6).toFixed(3)} M parameters, ${megabytes(bytes)}\n`,
    );
  await cp(join(ROOT, 'configs/dwm-tiny/base/generation.json'), join(TARGET, 'generation.json'));
  const total = await bytesBelow(TARGET);
  process.stdout.write(`${TARGET}: ${megabytes(total)} in all, of ${megabytes(LIMIT)}\n`);
  if (total >= LIMIT)
    throw new Error(`${TARGET}: ${megabytes(total)}, expected less than ${megabytes(LIMIT)}`);
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  process.exit(1);
}
