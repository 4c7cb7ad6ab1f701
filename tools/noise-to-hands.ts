/** The start of a DWM of a single step: npx tsx tools/noise-to-hands.ts FROM TO, two model folders. */
import { noiseToHands } from '@dwm/dwm-model/node';

const [from, to, ...rest] = process.argv.slice(2);
try {
  if (!to || rest.length > 0)
    throw new Error('expected two arguments: the model folder to read, and the one to write');
  await noiseToHands(from, to);
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  process.exit(1);
}
