/** `dwm synth`: simulated hands in made-up rooms, as training data in the original's layout. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { withOutput } from '@dwm/core-tensor/node';
import { ACTIONS, type Action, FIRST_TEST_SEED, ROOMS } from '@dwm/synth';
import {
  type DatasetReport,
  type EachSeed,
  listLine,
  SPLITS,
  type Split,
  seedIsDone,
  writeDataset,
  writeGifSheet,
  writeSheet,
} from '@dwm/synth/node';
import { type Command, Option } from 'commander';
import { interruptible } from '../interrupt.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { type Worker, type WorkerFlags, workerFrom, workerOption } from '../work/claim.ts';
import { inSteps, integer, real } from './options.ts';

interface Flags extends WorkerFlags {
  count: number;
  seed: number;
  out: string;
  split: Split;
  width: number;
  height: number;
  frames: number;
  fps: number;
  actions?: Action[];
  rooms?: Action[];
  acts: number;
  fixedCamera?: number;
  parts?: string;
  workers: number;
  gifSheet?: true;
}

/** Clips on the contact sheet. */
const SHOWN = 12;

const even = inSteps(16, 2, 'an even number of pixels from 16 up');

/** Of a pixel of a clip, in its three videos, at the least. */
const CLIP_BYTES = 0.1;

export function addSynth(program: Command): void {
  program
    .command('synth')
    .requiredOption('--count <clips>', 'how many clips there are to be', integer(1))
    .requiredOption('--out <dir>', 'folder of the data; clips that it has already are kept')
    .option(
      '--seed <n>',
      'first seed; the same seed gives the same bytes',
      integer(0, FIRST_TEST_SEED - 1),
      0,
    )
    .addOption(
      new Option('--split <name>', `train: seeds below ${FIRST_TEST_SEED}; test: ${FIRST_TEST_SEED} + seed`)
        .choices(SPLITS)
        .default('train'),
    )
    .option('--width <pixels>', 'width of the videos', even, 96)
    .option('--height <pixels>', 'height of the videos', even, 64)
    .option('--frames <n>', 'frames of a clip, 4 k + 1', inSteps(5, 4, '4 k + 1 frames, 5 or more'), 17)
    .option('--fps <n>', 'frames a second', integer(1, 60), 8)
    .option('--actions <names>', 'only these, with commas between them; else all', readActions('actions'))
    .option(
      '--rooms <names>',
      'rooms for these actions, whatever the hands do; the same seeds have the same rooms',
      readActions('rooms'),
    )
    .option(
      '--acts <n>',
      'actions of a clip, one after the other; what follows the first is chosen by how it left the room',
      integer(1, 64),
      1,
    )
    .option('--fixed-camera <share>', 'share of clips whose camera does not move; else a quarter', real(0, 1))
    .option('--parts <dir>', 'folder of .glb files; what is in them may stand in the rooms too')
    .option('--workers <n>', 'processes that work side by side', integer(1, 256), availableParallelism())
    .addOption(workerOption())
    .option('--gif-sheet', `the first ${SHOWN} clips as a moving picture too`)
    .addHelpText(
      'after',
      `
Actions: ${ACTIONS.join(', ')}.
Parts are things of 0.015 to 0.25 m a side that are picked, placed, pushed and toppled; captions call them by file name.
Ctrl-C finishes the clips in work; the same command goes on from there.
Example:
  dwm synth --count 1000 --out data/synth
  dwm synth --count 64 --split test --out data/synth-test`,
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      const bytes = flags.count * flags.frames * flags.width * flags.height * CLIP_BYTES;
      const sharing = workerFrom(flags, flags.out, 'synth', reporter);
      await interruptible((signal) => {
        const work = () => synth(flags, sharing, reporter, signal);
        return sharing ? sharing.beside(work) : withOutput(flags.out, { bytes }, work);
      });
    });
}

const readActions =
  (field: 'actions' | 'rooms') =>
  (text: string): Action[] => {
    const known = field === 'rooms' ? ROOMS : ACTIONS;
    return text.split(',').map((name) => {
      const action = known.find((one) => one === name.trim());
      if (action) return action;
      throw new InvalidArgumentError(field, `expected some of ${known.join(', ')}, got "${name}"`);
    });
  };

async function synth(
  flags: Flags,
  sharing: Worker | undefined,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { out, gifSheet, worker: _, ...options } = flags;
  const each: EachSeed = async (seeds, make, concurrency) => {
    await sharing!.each({
      items: seeds.map((seed) => ({ seed, name: listLine(seed), file: listLine(seed) })),
      isDone: async ({ seed }) => seedIsDone(out, seed),
      open: async () => undefined,
      work: ({ seed }) => make(seed),
      concurrency,
      more: true,
      signal,
    });
  };
  const done = await writeDataset({
    ...options,
    root: out,
    ...(sharing && { each }),
    signal,
    warn: (line) => reporter.warn(line),
    onAdapter: (adapter) =>
      reporter.say(`${flags.workers} worker${flags.workers > 1 ? 's' : ''} on ${adapter}`),
    onClip: ({ clips, kept, count, seconds, rejected }) => {
      const rate = (clips - kept) / seconds;
      reporter.progress(
        `${clips} of ${count} clips, ${rate.toFixed(2)} a second, ${rejected} rejected${rate > 0 ? `, ${clock((count - clips) / rate)} left` : ''}`,
        clips === count,
      );
    },
  });
  const shown = done.seeds.slice(0, SHOWN);
  const sheet = join(out, 'sheet.png');
  const gif = gifSheet && join(out, 'sheet.gif');
  await writeSheet(sheet, out, shown);
  if (gif) await writeGifSheet(gif, out, shown);
  reporter.result({ ...done, sheet, gif }, [describe(done), sheet, ...(gif ? [gif] : [])].join('\n'));
}

function describe({
  list,
  clips,
  kept,
  rejected,
  rejectionRate,
  reasons,
  actions,
  codecPsnr,
  ...rest
}: DatasetReport): string {
  const lines = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .sort((a, b) => b[1] - a[1])
      .map(([name, count]) => `  ${String(count).padStart(5)}  ${name}`);
  return [
    `${clips} clips${kept > 0 ? `, ${kept} of them from before` : ''}: ${list}`,
    ...lines(actions),
    `${rejected} seeds of ${clips + rejected} rejected (${(100 * rejectionRate).toFixed(1)}%)`,
    ...lines(reasons),
    `${rest.clipsPerSecond.toFixed(2)} clips a second${codecPsnr === undefined ? '' : `; the video files keep ${codecPsnr.toFixed(1)} dB at least`}`,
  ].join('\n');
}
