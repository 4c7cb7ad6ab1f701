/** The golden cases of the repository: small runs of the original code, each a folder, and who compares them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Device, Precision } from '@dwm/core-tensor';
import { checkPipeline } from '../../../packages/dwm-model/tests/fixtures/pipeline.ts';
import { checkT5 } from '../../../packages/dwm-model/tests/fixtures/t5.ts';

export interface GoldenCheck {
  readonly name: string;
  readonly error: number;
  readonly tolerance: number;
}

type Compare = (device: Device, dir: string, precision: Precision) => Promise<readonly GoldenCheck[]>;

/** By folder. */
export const GOLDEN: Readonly<Record<string, Compare>> = {
  t5: checkT5,
  pipeline_e2e: checkPipeline,
};

export const REPOSITORY_GOLDEN = fileURLToPath(
  new URL('../../../packages/dwm-model/tests/golden', import.meta.url),
);

export const hasGoldenCases = (folder: string): boolean =>
  Object.keys(GOLDEN).every((name) => existsSync(join(folder, name)));

/** The check that comes nearest to its tolerance, or fails it by most. */
export async function worstOf(
  device: Device,
  root: string,
  name: string,
  precision: Precision,
): Promise<GoldenCheck & { readonly share: number }> {
  const checks = await GOLDEN[name](device, join(root, name), precision);
  const shares = checks.map((check) => {
    const share = check.error === 0 ? 0 : check.error / check.tolerance;
    return { ...check, share: Number.isNaN(share) ? Number.POSITIVE_INFINITY : share };
  });
  if (shares.length === 0) throw new Error(`${join(root, name)}: there is nothing to compare in it`);
  return shares.reduce((a, b) => (b.share > a.share ? b : a));
}
