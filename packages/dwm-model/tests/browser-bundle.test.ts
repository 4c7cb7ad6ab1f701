import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

test('the package and all beneath it bundle for the browser, without anything of Node', async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(import.meta.dirname, '../src/index.ts')],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'esm',
    logLevel: 'silent',
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  expect(imports.filter(({ external }) => external)).toEqual([]);
  expect(outputFiles[0].text).not.toMatch(/from\s*["']node:/);
});
