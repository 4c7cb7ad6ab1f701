/**
 * A training run: batches in, checkpoints out. Everything that a step does follows from the seed, the step and
 * the weights before it, so a run that was stopped, killed or lost its device goes on from its last checkpoint
 * as if nothing had happened.
 */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DeviceLostError } from '@dwm/core-tensor';
import { isDiskFull, WriteError, withOutput, writeFileAtomic, writeProblem } from '@dwm/core-tensor/node';
import { gatherNumbers, type Peers } from '../../training/peers.ts';
import { checkShares } from './check-training.ts';
import { sweepCheckpoints } from './checkpoint.ts';
import { openSession } from './open-session.ts';
import { Session } from './session.ts';
import type { TrainOptions, TrainResult } from './train-options.ts';

/** Device losses in a row, without a checkpoint between, after which a run gives up. */
const MAX_LOSSES = 3;

/**
 * Trains as the experiment says, until its last step or until `signal`.
 * @throws InvalidFileError or InvalidArgumentError for what is wrong with the experiment or its files, and
 *   NotFiniteError when the loss is no longer a number; the last checkpoint is then as it was.
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { output_dir } = options.config.experiment;
  const { peers } = options;
  if (peers) checkShares(options.config.training, peers.count);
  // What rank 0 puts into the folder is there before the others look.
  if (peers && peers.rank !== 0) {
    await together(peers);
    const result = await trainOn(options);
    await together(peers);
    return result;
  }
  return withOutput(output_dir, {}, async () => {
    await sweepCheckpoints(output_dir);
    const { experimentFile: file } = options;
    if (file) await writeFileAtomic(join(output_dir, basename(file)), await readFile(file));
    const result = await trainOn(options);
    await together(peers);
    return result;
  });
}

/** Waits until every process is here. */
const together = (peers: Peers | undefined): Promise<unknown> | undefined =>
  peers && gatherNumbers(peers, [0]);

async function trainOn(options: TrainOptions): Promise<TrainResult> {
  const report = options.onEvent ?? (() => {});
  let { resume } = options;
  for (let losses = 0; ; ) {
    const session = new Session(await openSession({ ...options, resume }, report));
    if (options.peers?.rank === 0) await together(options.peers);
    const { saved } = session;
    try {
      return await session.run();
    } catch (error) {
      if (isDiskFull(error)) throw diskFull(error, options.config.experiment.output_dir, session.saved);
      if (!(error instanceof DeviceLostError) || options.peers) throw error;
      losses = session.saved === saved ? losses + 1 : 1;
      if (losses >= MAX_LOSSES) throw error;
      report({ kind: 'warning', text: `${error.message}; going on from the last checkpoint` });
      if (session.saved) resume = session.saved;
    } finally {
      await session.destroy();
    }
  }
}

/** Says what there is to go on from. */
function diskFull(error: unknown, folder: string, saved: string | undefined): unknown {
  const kept = saved ? `${saved} is kept, \`resume: latest\` goes on from it` : 'there is no checkpoint yet';
  return error instanceof WriteError
    ? new WriteError('disk-full', `${error.message}; ${kept}`, { checkpoint: saved })
    : writeProblem(error, folder, kept);
}
