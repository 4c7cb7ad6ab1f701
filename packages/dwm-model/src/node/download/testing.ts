/** Run as a process of its own: downloads a model into a folder from the hub of HF_ENDPOINT. */
import { downloadModel } from './index.ts';

const [id, outDir] = process.argv.slice(2);
process.send!('started');
await downloadModel(id, { outDir });
process.exit(0);
