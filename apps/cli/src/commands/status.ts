/** `dwm status`: how far processes are that share the work of a folder. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { Command } from 'commander';
import { exists } from '../generate/files.ts';
import { clock, createReporter } from '../report.ts';
import { WorkFolder } from '../work/work-folder.ts';

export function addStatus(program: Command): void {
  program
    .command('status')
    .argument('<dir>', 'output folder of processes that share their work')
    .option('--retry', 'forget what failed, so that the next run tries it again')
    .action(async (dir: string, { retry }: { retry?: true }) => {
      const reporter = createReporter(program.opts().json === true);
      const folders = await WorkFolder.all(dir);
      if (folders.length === 0) {
        const problem = (await exists(dir)) ? 'no processes have shared work there' : 'no such folder';
        throw new InvalidArgumentError(
          'dir',
          `${dir}: ${problem}; give the output folder of a run with --worker`,
        );
      }
      if (retry) for (const folder of folders) await folder.forgetFailures();
      const states = await Promise.all(folders.map(stateOf));
      reporter.result(states, states.map(stateText).join('\n'));
    });
}

async function stateOf(work: WorkFolder) {
  const items = await work.items();
  const there = await Promise.all(items.map((item) => work.isThere(item)));
  const done = there.filter(Boolean).length;
  // Of the same name with other settings there may be older ones.
  const failed = (await work.failures()).filter(({ name, file }) => {
    const at = items.findIndex((item) => item.name === name);
    return at < 0 || (!there[at] && items[at].file === file);
  });
  const working = await work.working(items);
  const logs = await work.logs();
  const idOf = ({ host, pid }: { host: string; pid: number }) => `${host}-${pid}`;
  // Those at their first item have no log yet.
  for (const one of working) if (!logs.has(idOf(one))) logs.set(idOf(one), []);
  const workers = [...logs].map(([process, finished]) => {
    const seconds = finished.reduce((sum, one) => sum + one.seconds, 0);
    const now = working.find((one) => idOf(one) === process);
    return {
      process,
      place: finished.at(-1)?.worker,
      done: finished.length,
      secondsEach: finished.length > 0 ? seconds / finished.length : undefined,
      now: now?.name,
      ended: now?.ended ?? false,
    };
  });
  // Of those that are at work; one that is at its first item is taken for a mean one.
  const known = workers.flatMap(({ secondsEach }) => secondsEach ?? []);
  const usual = known.reduce((sum, value) => sum + value, 0) / known.length;
  const rate = working.reduce((sum, one) => {
    const own = workers.find(({ process }) => process === idOf(one))?.secondsEach;
    return one.ended ? sum : sum + 1 / (own ?? usual);
  }, 0);
  const left = items.length - done - failed.filter(({ tries }) => tries.length > 2).length;
  return {
    command: work.command,
    folder: work.folder,
    total: items.length,
    done,
    working,
    failed,
    workers,
    ...(Number.isFinite(rate) && rate > 0 && { perMinute: 60 * rate, etaSeconds: left / rate }),
  };
}

type State = Awaited<ReturnType<typeof stateOf>>;

function stateText(state: State): string {
  const { command, folder, total, done, working, failed, workers, perMinute, etaSeconds } = state;
  const pace =
    perMinute === undefined ? '' : `, ${perMinute.toPrecision(3)} a minute, ${clock(etaSeconds!)} left`;
  return [
    `${command} in ${folder}: ${done} of ${total} done, ${working.filter(({ ended }) => !ended).length} in work, ${failed.length} failed${pace}`,
    ...workers.map(({ process, place, done, secondsEach, now, ended }) => {
      const each = secondsEach === undefined ? '' : `, ${secondsEach.toPrecision(3)} s each`;
      const at = now && (ended ? `, ended at ${now}, which waits to be taken over` : `, at ${now}`);
      return `  ${process}${place ? ` (${place})` : ''}: ${done} done${each}${at ?? ''}`;
    }),
    ...failed.map(
      ({ name, tries }) =>
        `  failed, ${tries.length} of 3 tries: ${name}: ${tries.at(-1)?.message ?? 'unknown'}`,
    ),
  ].join('\n');
}
