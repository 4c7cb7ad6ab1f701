/** Keys of an experiment file that mean nothing here. */
import { ignoredKeys } from '@dwm/dwm-model/node';
import type { Reporter } from './report.ts';

/** Says once which they are. */
export function tellIgnored(yaml: unknown, reporter: Reporter): void {
  const ignored = ignoredKeys(yaml);
  if (ignored.length > 0) reporter.say(`ignored: ${ignored.join(', ')}`);
}
