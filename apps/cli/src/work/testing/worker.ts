/** A process that shares twelve small items with others: `worker.ts <folder> <rank>/<count>`. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { createReporter } from '../../report.ts';
import { Worker } from '../claim.ts';
import { placeFrom } from '../place.ts';

const [, , folder, rank] = process.argv;
const worker = new Worker(folder, 'test', placeFrom(rank), createReporter(true));
const items = Array.from({ length: 12 }, (_, i) => ({ name: `item ${i}`, file: `out/${i}.txt` }));
process.send!('ready');
await worker.beside(() =>
  worker.each({
    items,
    signal: new AbortController().signal,
    open: async () => undefined,
    async work({ name, file }) {
      await sleep(60);
      await writeFileAtomic(join(folder, file), `made of ${name}\n`);
    },
  }),
);
process.exit(0);
