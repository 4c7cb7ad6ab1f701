/** Builds the service worker, with the names of the files that it keeps. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Plugin } from 'vite';
import { manifests } from './built-in-models.ts';

const SOURCE = join(import.meta.dirname, '../src/offline/service-worker.ts');
const PUBLIC = ['icon.svg', 'icon-192.png', 'icon-512.png', 'app.webmanifest'];
/** Fetched by every visit; the larger icons are for whoever installs the page. */
const FIRST =
  /^(index\.html|icon\.svg|app\.webmanifest|assets\/(index|worker|webxr)-[^/]*\.(js|css)|assets\/[^/]*\.webp)$/;

/** Names of the files that some files import before they run, themselves with them. */
function withImports(names: readonly string[], codeOf: (name: string) => string): Set<string> {
  const all = new Set(names);
  // A set gives what is added to it while it is gone through.
  for (const name of all) {
    if (!name.endsWith('.js')) continue;
    for (const [, file] of codeOf(name).matchAll(/\b(?:from|import)\s*["']\.\/([^"']+\.js)["']/g))
      all.add(`assets/${file}`);
  }
  return all;
}

export function offline(): Plugin {
  return {
    name: 'offline',
    apply: 'build',
    enforce: 'post',
    buildStart() {
      this.emitFile({ type: 'chunk', id: SOURCE, fileName: 'service-worker.js' });
    },
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const all = [
          ...new Set([
            'index.html',
            ...PUBLIC,
            ...Object.keys(bundle).filter((name) => !/^(models\/|service-worker)/.test(name)),
          ]),
        ].sort();
        // These lists say which weights are right of those that the page has.
        const codeOf = (name: string): string => {
          const file = bundle[name];
          return file?.type === 'chunk' ? file.code : String(file?.source ?? '');
        };
        const entries = all.filter((name) => FIRST.test(name));
        const first = [...withImports(entries, codeOf), ...manifests()];
        // Files are named after their content, and the page is asked for anew at each visit.
        const version = createHash('sha256').update(all.join('\n')).digest('hex').slice(0, 12);
        const worker = bundle['service-worker.js'];
        if (worker?.type !== 'chunk' || !worker.code.includes('__BUILD__'))
          this.error('src/offline/service-worker.ts: has no place for the list of files');
        worker.code = worker.code.replace('__BUILD__', JSON.stringify({ version, first, all }));
      },
    },
  };
}
