/**
 * Binomial's Basis Universal transcoder in Node, as three.js ships it (MIT; the transcoder itself is Apache-2.0). Its
 * script is neither a module nor CommonJS to Node, so it is run as text.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { BasisModule } from '../mesh/ktx2.ts';

type Factory = (options: {
  instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void): object;
}) => Promise<BasisModule>;

let loaded: Promise<{ readonly factory: Factory; readonly wasm: WebAssembly.Module }> | undefined;

async function load() {
  const require = createRequire(import.meta.url);
  const path = require.resolve('three/examples/jsm/libs/basis/basis_transcoder.js');
  const script = await readFile(path, 'utf8');
  const run = new Function('require', '__dirname', '__filename', `${script}\nreturn BASIS;`);
  const wasm = await WebAssembly.compile(await readFile(path.replace(/js$/, 'wasm')));
  return { factory: run(require, dirname(path), path) as Factory, wasm };
}

/** A new instance; what is costly, compiling it, is done once. */
export async function openBasis(): Promise<BasisModule> {
  loaded ??= load();
  const { factory, wasm } = await loaded;
  return factory({
    instantiateWasm(imports, done) {
      WebAssembly.instantiate(wasm, imports).then(done);
      return {};
    },
  });
}
