/** The device of an evaluation, and the networks that score on it. */
import type { Device } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { loadLpips } from '@dwm/dwm-model/node';
import { hasHandWeights } from '@dwm/hands/node';
import type { Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import type { Flags } from './flags.ts';
import { HandPoints } from './hand-points.ts';
import type { Networks } from './judge.ts';
import type { ClipFiles } from './read-clips.ts';

interface OpenNetworks {
  /** Undefined where nothing runs on one. */
  readonly device: Device | undefined;
  readonly networks: Networks;
}

/** @throws as `openTunedDevice`, `loadLpips` and `HandPoints.load`. */
export async function openNetworks(
  flags: Flags,
  files: readonly ClipFiles[],
  reporter: Reporter,
): Promise<OpenNetworks> {
  let device: Device | undefined;
  if (flags.model.length > 0) device = await openTunedDevice(reporter, undefined, flags.memory);
  const mayTrack = flags.pck !== false && files.some(({ handVideo }) => handVideo !== undefined);
  if (!device && (flags.lpips !== undefined || mayTrack)) device = await openNodeDevice();
  const pck = mayTrack && tracksHands(flags, device!, reporter);
  const lpips = flags.lpips !== undefined ? await loadLpips(device!, flags.lpips) : new Map();
  return { device, networks: { lpips, hands: pck ? await HandPoints.load(device!) : undefined } };
}

export function closeNetworks({ lpips, hands }: Networks): void {
  for (const model of lpips.values()) model.destroy();
  hands?.destroy();
}

/** Whether hands are looked for: on the processor only where that is wanted, as it takes seconds a frame. */
function tracksHands({ pck }: Flags, { caps }: Device, reporter: Reporter): boolean {
  if (pck === undefined && caps.adapter.kind === 'software') {
    reporter.say('hand PCK is left out without a GPU, as it takes seconds a frame; --pck has it');
    return false;
  }
  if (hasHandWeights()) return true;
  reporter.say(
    'hand PCK is left out: the hand tracker has no weights (npm install @svenflow/micro-handpose@0.3.0); --no-pck says nothing of it',
  );
  return false;
}
