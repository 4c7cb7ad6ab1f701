/**
 * The default model as static files below `models/default/`, with a `manifest.json` that lists them: the trained
 * `models/dwm-tiny` of the repository, or, where that is not there, the golden run's tiny random weights.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { Plugin } from 'vite';
import type { Manifest } from '../src/model-store/manifest.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const TRAINED = join(ROOT, 'models/dwm-tiny');
const RANDOM = join(ROOT, 'packages/dwm-model/tests/golden/pipeline_e2e');
const PARTS = ['transformer', 'vae', 'scheduler', 'text_encoder', 'tokenizer'];
/** Where the page finds the default model. */
export const PREFIX = 'models/default/';

/** The folder that the page will load. */
export const modelFolder = () => (existsSync(join(TRAINED, 'transformer/config.json')) ? TRAINED : RANDOM);

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
  const name = folder === TRAINED ? 'dwm-tiny' : 'random weights';
  return { name, version: digest.digest('hex').slice(0, 16), files };
}

export function defaultModel(): Plugin {
  return {
    name: 'default-model',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = decodeURIComponent((request.url ?? '').replace(/^\//, '').replace(/[?#].*$/, ''));
        if (!path.startsWith(PREFIX)) return next();
        const folder = modelFolder();
        const file = path.slice(PREFIX.length);
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
      const folder = modelFolder();
      const manifest = await manifestOf(folder);
      this.emitFile({ type: 'asset', fileName: `${PREFIX}manifest.json`, source: JSON.stringify(manifest) });
      for (const { path } of manifest.files) {
        this.emitFile({ type: 'asset', fileName: PREFIX + path, source: await readFile(join(folder, path)) });
      }
    },
  };
}
