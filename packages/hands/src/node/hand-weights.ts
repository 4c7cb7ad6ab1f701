/**
 * The weights of the npm package `@svenflow/micro-handpose` (MIT; MediaPipe Hands' own, Apache-2.0), whose code is not
 * used, and those of our head, which this package has.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { DwmError } from '@dwm/core-tensor';
import type { WeightFiles } from '../networks/weights.ts';
import type { HandWeights } from '../tracker/eyes.ts';

/** As far from here in the sources as when compiled. */
const OWN_FOLDER = join(import.meta.dirname, '../../weights');

const PACKAGE = '@svenflow/micro-handpose';

/** Both networks' files, and our head's. @throws DwmError where the package, which is optional, is not installed. */
export async function readHandWeights(): Promise<HandWeights> {
  const read = async (folder: string, stem: string): Promise<WeightFiles> => ({
    name: join(basename(folder), `${stem}.json`),
    json: await readFile(join(folder, `${stem}.json`), 'utf8'),
    bytes: await readFile(join(folder, `${stem}.bin`)),
  });
  const folder = weightsFolder();
  const [palm, landmarks, own] = await Promise.all([
    read(folder, 'palm_detection_weights'),
    read(folder, 'weights_f16_full'),
    read(OWN_FOLDER, 'own-hands'),
  ]);
  return { palm, landmarks, own };
}

/** Whether the weights are installed. */
export function hasHandWeights(): boolean {
  try {
    weightsFolder();
    return true;
  } catch {
    return false;
  }
}

function weightsFolder(): string {
  const require = createRequire(import.meta.url);
  // It exports its code alone, and that for `import` only: its folder is found where Node looks for packages.
  for (const modules of require.resolve.paths(PACKAGE) ?? []) {
    const manifest = join(modules, PACKAGE, 'package.json');
    try {
      return join(dirname(require.resolve(manifest)), 'weights');
    } catch {}
  }
  throw new DwmError(
    'missing-package',
    `the hand tracker's weights are not installed: npm install ${PACKAGE}@0.3.0, or give the hands yourself (\`hands\`)`,
    { package: PACKAGE },
  );
}
