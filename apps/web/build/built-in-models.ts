/**
 * The page's own models as static files below `models/`, each with a `manifest.json` that lists them. `default` makes
 * whole clips: `models/dwm-tiny` of the repository, or, where that is not there, the golden run's tiny random weights.
 * `live` answers while the hand moves: `models/dwm-tiny-live`, where that is there.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import type { Plugin } from 'vite';
import type { Manifest } from '../src/model-store/manifest.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const TRAINED = join(ROOT, 'models/dwm-tiny');
const LIVE = join(ROOT, 'models/dwm-tiny-live');
const RANDOM = join(ROOT, 'packages/dwm-model/tests/golden/pipeline_e2e');
const PARTS = ['transformer', 'vae', 'scheduler', 'text_encoder', 'tokenizer'];
const isModel = (folder: string) => existsSync(join(folder, 'transformer/config.json'));

/** The folder of the model that makes whole clips. */
export const modelFolder = () => (isModel(TRAINED) ? TRAINED : RANDOM);
export const hasLiveModel = () => isModel(LIVE);

/** Where the page finds its models, and their folders. */
const folders = (): [prefix: string, folder: string][] => [
  ['models/default/', modelFolder()],
  ...(hasLiveModel() ? [['models/live/', LIVE] as [string, string]] : []),
];
/** The lists of the models' files. */
export const manifests = () => folders().map(([prefix]) => `${prefix}manifest.json`);

async function modelFiles(folder: string): Promise<string[]> {
  const inParts = await Promise.all(
    PARTS.map(async (part) =>
      existsSync(join(folder, part))
        ? (await readdir(join(folder, part), { recursive: true, withFileTypes: true }))
            .filter((entry) => entry.isFile())
            .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
        : [],
    ),
  );
  const top = ['model_index.json', 'generation.json', 'prompt_embeds.safetensors'];
  return [...top.filter((name) => existsSync(join(folder, name))), ...inParts.flat()].sort();
}

async function manifestOf(folder: string): Promise<Manifest> {
  const digest = createHash('sha256');
  const files: { path: string; size: number }[] = [];
  for (const path of await modelFiles(folder)) {
    const bytes = await readFile(join(folder, path));
    digest.update(path).update(bytes);
    files.push({ path, size: bytes.length });
  }
  const name = folder === RANDOM ? 'random weights' : basename(folder);
  return { name, version: digest.digest('hex').slice(0, 16), files };
}

/** Bytes of each model, by its folder below `models/`. */
export async function builtInBytes(): Promise<Record<string, number>> {
  const entries = folders().map(async ([prefix, folder]) => {
    const sizes = (await modelFiles(folder)).map(async (path) => (await stat(join(folder, path))).size);
    return [basename(prefix), (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

export function builtInModels(): Plugin {
  return {
    name: 'built-in-models',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = decodeURIComponent((request.url ?? '').replace(/^\//, '').replace(/[?#].*$/, ''));
        const [prefix, folder] = folders().find(([start]) => path.startsWith(start)) ?? [];
        if (!prefix || !folder) return next();
        const file = path.slice(prefix.length);
        const answer = async () => {
          if (file === 'manifest.json') return JSON.stringify(await manifestOf(folder));
          const known = (await modelFiles(folder)).includes(file);
          return known ? readFile(join(folder, file)) : undefined;
        };
        answer().then((body) => {
          response.statusCode = body === undefined ? 404 : 200;
          response.setHeader('content-type', 'application/octet-stream');
          response.end(body);
        }, next);
      });
    },
    async generateBundle() {
      for (const [prefix, folder] of folders()) {
        const manifest = await manifestOf(folder);
        this.emitFile({
          type: 'asset',
          fileName: `${prefix}manifest.json`,
          source: JSON.stringify(manifest),
        });
        for (const { path } of manifest.files)
          this.emitFile({
            type: 'asset',
            fileName: prefix + path,
            source: await readFile(join(folder, path)),
          });
      }
    },
  };
}
