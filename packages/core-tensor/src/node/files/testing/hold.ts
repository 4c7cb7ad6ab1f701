/** Run as a process of its own: takes a folder, begins a file there, and never ends. */
import { withOutput, writeFileAtomic } from '../index.ts';

const [folder, name] = process.argv.slice(2);

async function* endless(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(10);
  process.send!('holding');
  await new Promise((done) => setTimeout(done, 1e9));
}

await withOutput(folder, { name: name || undefined }, () => writeFileAtomic(`${folder}/x`, endless()));
