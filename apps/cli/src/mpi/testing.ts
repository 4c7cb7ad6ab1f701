/** A process of a job: says what it got from the others. `fail` as argument: rank 1 fails, the others wait for it. */
import { joinJob, leaveJob, ofRank } from './job.ts';

const joined = await joinJob();
try {
  await ofRank(joined, async () => {
    const { mpi } = joined!;
    if (process.argv[2] === 'fail' && mpi.rank === 1) throw new Error('the clip is cut off');
    const all = await mpi.gather(Uint8Array.of(mpi.rank, 7));
    const mine = await mpi.exchange(Uint8Array.from({ length: mpi.count }, (_, r) => 10 * mpi.rank + r));
    console.log(`rank ${mpi.rank} of ${mpi.count}: ${all.join()}; ${mine.join()}`);
  });
  leaveJob(joined!);
} catch (error) {
  console.error((error as Error).message);
  process.exit(3);
}
