/** One process of a job whose processes are joined by MPI: how it begins, speaks and ends. */
import type { Reporter } from '../report.ts';
import { placeFrom, placeInJob, placeText } from '../work/place.ts';
import { type Mpi, MpiError, openMpi } from './mpi.ts';

export interface Joined {
  readonly mpi: Mpi;
  /** For the log. */
  readonly text: string;
}

/** Rank 0 speaks first where all have the same to say. */
const POLITE_MS = 1500;

/**
 * Joins the other processes, if a launcher says that there are some. From then on an exit with another code than 0 ends
 * all of them.
 * @throws MpiError where the library does not see as many processes as the launcher has started.
 */
export async function joinJob(env: NodeJS.ProcessEnv = process.env): Promise<Joined | undefined> {
  const place = placeInJob(env);
  if (place === undefined || place.worldSize === 1) return undefined;
  const mpi = await openMpi(env);
  process.on('exit', (code) => {
    if (code !== 0) mpi.abort(code);
  });
  if (mpi.count !== place.worldSize) {
    throw new MpiError(
      'mpi',
      `${mpi.library} sees ${mpi.count} of ${place.worldSize} processes (${place.source}); start them with its own mpirun, or with srun --mpi=pmix or pmi2, or name the launcher's library in DWM_MPI`,
    );
  }
  return { mpi, text: `${placeText(place)}, joined by ${mpi.library}` };
}

/** What to say to one of several processes that nothing joins; undefined if there is nothing to say. */
export function aloneText(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const place = placeFrom(undefined, env);
  if (place.joinedBy !== 'nothing' || place.worldSize === 1) return undefined;
  return `${placeText(place)}, trains alone: mpirun and srun join processes, and nothing else does`;
}

/** Waits for the others, so that none is taken for dead. */
export const leaveJob = ({ mpi }: Joined): void => mpi.finalize();

/** Rank 0 tells what all do; the others tell their warnings. */
export function reporterOfRank(reporter: Reporter, { mpi, text }: Joined): Reporter {
  if (mpi.rank === 0) {
    reporter.say(text);
    return reporter;
  }
  return {
    ...reporter,
    say() {},
    progress() {},
    warn: (line) => reporter.warn(`process ${mpi.rank}: ${line}`),
  };
}

/** An error of one process, which says whose it is; what all have to say, rank 0 says before it ends all. */
export async function ofRank<T>(joined: Joined | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (joined && joined.mpi.rank !== 0) await new Promise((done) => setTimeout(done, POLITE_MS));
    if (joined && error instanceof Error)
      error.message = `process ${joined.mpi.rank} of ${joined.mpi.count}: ${error.message}`;
    throw error;
  }
}
