/** What a run takes on the device, in place of the run. */
import { planClips } from '@dwm/dwm-model/memory';
import { planTable } from '../memory/table.ts';
import { planTarget } from '../memory/target.ts';
import type { Reporter } from '../report.ts';
import type { CheckedRun } from './checked-run.ts';

/** @throws RunTooLargeError where no way fits. */
export async function tellPlan(
  { flags, planned: { path, shapes, needs } }: CheckedRun,
  reporter: Reporter,
): Promise<void> {
  const plan = await planClips(shapes, await planTarget(flags), needs);
  reporter.result(plan, await planTable(plan, path));
}
