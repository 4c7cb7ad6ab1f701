// The command's sources as one JavaScript file: TypeScript read file by file takes seconds at every start.
// It lies in node_modules/.cache, under a key of all sources' times, so a change makes a new one.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const cache = join(repository, 'node_modules/.cache/dwm');
const DAY_MS = 24 * 60 * 60 * 1000;

/** The file to import; made if there is none of these sources. */
export async function bundled() {
  const folder = join(cache, keyOf(sources()));
  const main = join(folder, 'main.js');
  if (existsSync(main)) return pathToFileURL(main).href;
  const made = `${folder}.${process.pid}`;
  await bundle(made);
  // Another process may have made the same one meanwhile.
  await rename(made, folder).catch(() => rm(made, { recursive: true, force: true }));
  await sweep(folder);
  return pathToFileURL(main).href;
}

function sources() {
  const packages = readdirSync(join(repository, 'packages')).map((name) =>
    join(repository, 'packages', name),
  );
  const folders = [...packages, join(repository, 'apps/cli')].map((folder) => join(folder, 'src'));
  return folders
    .filter(existsSync)
    .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

function keyOf(files) {
  const hash = createHash('sha256').update(process.version);
  for (const file of files) {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${file} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

async function bundle(outdir) {
  const { build } = await import('esbuild');
  await build({
    entryPoints: [join(repository, 'apps/cli/src/main.ts')],
    ...{ bundle: true, splitting: true, platform: 'node', format: 'esm', target: 'node20' },
    ...{ outdir, sourcemap: true, sourcesContent: false, logLevel: 'silent' },
    plugins: [
      {
        name: 'sources',
        setup(pluginBuild) {
          // Libraries stay where they are.
          pluginBuild.onResolve({ filter: /^[^./]/ }, ({ path }) =>
            path.startsWith('@dwm/') || path.startsWith(repository) ? undefined : { path, external: true },
          );
          // A file that looks for others beside itself finds them where its source lies.
          pluginBuild.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
            const contents = (await readFile(path, 'utf8'))
              .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
              .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)));
            return { contents, loader: 'ts' };
          });
        },
      },
    ],
  });
}

/** Removes bundles of former sources that no running command can still be reading. */
async function sweep(current) {
  for (const name of readdirSync(cache)) {
    const folder = join(cache, name);
    const old = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0) > DAY_MS;
    if (old && folder !== current) await rm(folder, { recursive: true, force: true });
  }
}
