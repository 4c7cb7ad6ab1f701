/**
 * Test files of our packages as modules for a page. What they take from Node is swapped for a browser's version of
 * it: the device, safetensors and files by path (which become URLs below `/repo/`), and vitest itself, of which
 * the real runner and the real `expect` are used.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';

export const ROOT = resolve(import.meta.dirname, '../..');
const PAGE = join(import.meta.dirname, 'page');
const vitest = createRequire(createRequire(import.meta.url).resolve('vitest/package.json'));

const SWAPS: Readonly<Record<string, string>> = {
  vitest: join(PAGE, 'vitest.ts'),
  '@dwm/core-tensor/node': join(PAGE, 'node-doors.ts'),
  'node:fs': join(PAGE, 'node-files.ts'),
  'node:fs/promises': join(PAGE, 'node-files.ts'),
  'node:path': join(PAGE, 'node-files.ts'),
  '@vitest/runner': vitest.resolve('@vitest/runner'),
  '@vitest/expect': vitest.resolve('@vitest/expect'),
};

const swap: Plugin = {
  name: 'browser versions',
  setup({ onResolve, onLoad }) {
    onResolve(
      { filter: /^(vitest|@vitest\/(runner|expect)|@dwm\/core-tensor\/node|node:.*)$/ },
      ({ path }) => (SWAPS[path] ? { path: SWAPS[path] } : undefined),
    );
    // Inside core-tensor the same door is a relative path.
    onResolve({ filter: /\/node\/index\.ts$/ }, ({ path, resolveDir }) =>
      resolve(resolveDir, path) === join(ROOT, 'packages/core-tensor/src/node/index.ts')
        ? { path: SWAPS['@dwm/core-tensor/node'] }
        : undefined,
    );
    onLoad({ filter: /\/packages\/.*\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replaceAll(
        'import.meta.dirname',
        JSON.stringify(`/repo/${relative(ROOT, join(path, '..'))}`),
      ),
      loader: 'ts',
    }));
  },
};

/** @returns the modules by file name; `run.js` is the page's. */
export async function bundleTests(files: readonly string[]): Promise<Map<string, Uint8Array>> {
  const imports = files.map(
    (file) => `  ${JSON.stringify(file)}: () => import(${JSON.stringify(resolve(ROOT, file))}),`,
  );
  const { outputFiles } = await build({
    stdin: {
      contents: `import { run } from ${JSON.stringify(join(PAGE, 'run.ts'))};\nrun({\n${imports.join('\n')}\n});`,
      resolveDir: ROOT,
      loader: 'ts',
    },
    bundle: true,
    splitting: true,
    write: false,
    outdir: '/',
    entryNames: 'run',
    format: 'esm',
    platform: 'browser',
    target: 'esnext',
    logLevel: 'silent',
    define: { 'process.env': '{}' },
    plugins: [swap],
  });
  return new Map(outputFiles.map(({ path, contents }) => [path.slice(1), contents]));
}
