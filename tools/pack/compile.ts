/** The sources of all published packages as JavaScript, declarations and source maps. */
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Compiles the `src` of every folder of `packages` to `<outDir>/<folder>/src`, in one go.
 * @throws with the compiler's words where it finds a fault.
 */
export async function compile(root: string, packages: readonly string[], outDir: string): Promise<void> {
  await rm(outDir, { recursive: true, force: true });
  // Where git does not look: a run that is killed leaves it.
  const config = join(root, 'out/tsconfig.json');
  const options = {
    extends: '../tsconfig.json',
    compilerOptions: {
      ...{ noEmit: false, incremental: false, allowImportingTsExtensions: false },
      ...{ rewriteRelativeImportExtensions: true, declaration: true, sourceMap: true, inlineSources: true },
      ...{ rootDir: '..', outDir },
    },
    include: packages.map((folder) => `../${folder}/src`),
    exclude: ['*.test.ts', 'testing', 'src/**/testing.ts'].map((path) => `../**/${path}`),
  };
  await mkdir(join(root, 'out'), { recursive: true });
  await writeFile(config, JSON.stringify(options));
  try {
    const { status, stdout, stderr } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', config], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stdout + stderr);
  } finally {
    await rm(config);
  }
  await nameDeclarations(outDir);
}

/** The compiler rewrites `./x.ts` to `./x.js` in JavaScript only. */
async function nameDeclarations(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.d.ts')) continue;
    const path = join(entry.parentPath, entry.name);
    const text = await readFile(path, 'utf8');
    const named = text.replace(/(from |import\()(['"])(\.[^'"]*)\.ts\2/g, '$1$2$3.js$2');
    if (named !== text) await writeFile(path, named);
  }
}
