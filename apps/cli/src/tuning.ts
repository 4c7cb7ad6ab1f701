/**
 * The device of a command that runs a model: with the kernels that were decided for it before, and a few seconds
 * to decide those that were not. `DWM_TUNE` is the seconds, 0 to use what is known and measure nothing, or `off`
 * for every kernel's default. Kernels that drivers are known to compute wrongly are tried first, also then;
 * `DWM_FORCE_KERNELS=1` (`--force-kernels`) uses them untried, and those that failed.
 */
import { existsSync } from 'node:fs';
import { type Device, InvalidArgumentError, onKernelsCompiled } from '@dwm/core-tensor';
import { loadTuning, openNodeDevice, saveTuning } from '@dwm/core-tensor/node';
import { selfTestOnFirstUse, tuneOnFirstUse } from '@dwm/core-tensor/tune';
import type { Reporter } from './report.ts';

const SECONDS = 5;

/** @throws InvalidArgumentError */
function kernelsForced(given = process.env.DWM_FORCE_KERNELS): boolean {
  if (given && given !== '0' && given !== '1')
    throw new InvalidArgumentError('DWM_FORCE_KERNELS', `expected 1 or 0; got "${given}"`);
  return given === '1';
}

/** @throws InvalidArgumentError */
export function tuneSeconds(given = process.env.DWM_TUNE): number | 'off' {
  if (!given) return SECONDS;
  if (given === 'off') return given;
  const seconds = Number(given);
  if (!(seconds >= 0 && Number.isFinite(seconds))) {
    throw new InvalidArgumentError(
      'DWM_TUNE',
      `expected seconds, 0 to measure nothing, or off; got "${given}"`,
    );
  }
  return seconds;
}

/**
 * @param run the file of a run that can be resumed: it keeps the run's kernels, whatever is tuned in between.
 * @param memoryLimit bytes that may be used on it.
 */
export async function openTunedDevice(
  reporter: Reporter,
  run?: string,
  memoryLimit?: number,
): Promise<Device> {
  const seconds = tuneSeconds();
  const forced = kernelsForced();
  const device = await openNodeDevice({ memoryLimit });
  const { caps } = device;
  reporter.say(caps.adapter.description || caps.adapter.device);
  onKernelsCompiled(device, (done, asked) => {
    if (done < asked) reporter.progress(`compiling kernels: ${done} of ${asked}`);
  });
  const warn = (line: string) => reporter.warn(line);
  const selfTest = (save?: () => Promise<void>) => {
    if (forced) device.decisions.verdicts.clear();
    else
      selfTestOnFirstUse(device, {
        save,
        onLeftOut: (kernel, why) =>
          warn(`this driver computes ${kernel} wrongly (${why}); it is left out (--force-kernels uses it)`),
      });
  };
  if (seconds === 'off') {
    selfTest();
    return device;
  }
  const resumed = run !== undefined && existsSync(run);
  await loadTuning(device, { path: resumed ? run : undefined, warn });
  const save = async () => {
    if (!resumed) await saveTuning(device, { warn });
    if (run !== undefined) await saveTuning(device, { path: run, warn });
  };
  if (run !== undefined && !resumed) await saveTuning(device, { path: run, warn });
  selfTest(save);
  if (seconds === 0) return device;
  let advised = false;
  tuneOnFirstUse(device, {
    budgetMs: seconds * 1000,
    save,
    onProgress: ({ done, total }) =>
      reporter.progress(`finding the fastest kernels for this device: ${done} of ${total}`),
    onTuned: (tuned, unmeasured) => {
      if (tuned.length > 0)
        reporter.say(`found the fastest of several kernels for ${tuned.length} of this run's operations`);
      if (unmeasured > 0 && !advised)
        reporter.say('dwm tune may make this run faster: not all of its operations were measured here');
      advised ||= unmeasured > 0;
    },
  });
  return device;
}
