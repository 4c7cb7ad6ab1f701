/** Where the numbers of a step went bad. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Device, DwmError } from '@dwm/core-tensor';
import { firstNotFinite } from '../../training/debug-nan.ts';
import type { Peers } from '../../training/peers.ts';
import type { NotFiniteError, TrainStep } from '../../training/train-step.ts';
import type { Batch, Inputs, TrainedStep } from './task.ts';

/** Time for the process whose micro-batch went bad to find out why, before the others end it. */
const OTHERS_LOOK_MS = 60_000;

/**
 * Looks through the micro-batches of this process, from the bad one on.
 * @throws DwmError that names the first tensor that is not finite, where one is found.
 */
export async function nameBadTensor(
  error: NotFiniteError,
  batches: readonly Batch[],
  device: Device,
  { trainable, loss }: TrainedStep,
  theta: TrainStep<Inputs>['theta'],
  { rank, count }: Pick<Peers, 'rank' | 'count'>,
): Promise<void> {
  // Micro-batches are dealt out in turn.
  const bad = error.batch ?? 0;
  if (bad % count !== rank) await sleep(OTHERS_LOOK_MS);
  for (const batch of batches.slice(Math.floor(bad / count))) {
    const found = await firstNotFinite(device, trainable, loss, batch, theta);
    if (found)
      throw new DwmError('not-finite', `${error.message}; the first bad tensor is ${found}`, {
        ...error.details,
        tensor: found,
      });
  }
}
