/** Between two trainings: npx tsx tools/mix-weights.ts FROM OTHER SHARE TO, the share of FROM in the transformer of TO. */
import { mixWeights } from '@dwm/dwm-model/node';

const [from, other, share, to, ...rest] = process.argv.slice(2);
try {
  if (!to || rest.length > 0 || !(Number(share) >= 0 && Number(share) <= 1))
    throw new Error(
      'expected two model folders to read, the share of the first from 0 to 1, and the folder to write',
    );
  await mixWeights(from, other, Number(share), to);
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  process.exit(1);
}
