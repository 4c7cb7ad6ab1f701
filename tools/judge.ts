/**
 * How a world model is judged on rooms that nobody trained on: npx tsx tools/judge.ts
 * rank|direction|near-misses|plan
 * Every room's result is kept below --out, by what was asked of which weights: the same command goes on where it was.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { FIRST_TEST_SEED, OPENED } from '@dwm/synth';
import { Command, Option } from 'commander';
import { integer } from '../apps/cli/src/commands/options.ts';
import { checkModel, Generator } from '../apps/cli/src/eval/models.ts';
import { DEFAULT_MODEL } from '../apps/cli/src/generate/default-model.ts';
import { interruptible } from '../apps/cli/src/interrupt.ts';
import { CAPTIONS, type Captions } from '../apps/cli/src/judge/captions.ts';
import { directionOfRoom, type OpeningRoom, rightOf } from '../apps/cli/src/judge/direction.ts';
import { AS_IT_WAS, type MissedRoom, missedRoom } from '../apps/cli/src/judge/near-misses.ts';
import { planRoom } from '../apps/cli/src/judge/planning.ts';
import { firstPlace, RIGHT, rankRoom } from '../apps/cli/src/judge/ranking.ts';
import { CANDIDATES, MISSES } from '../apps/cli/src/judge/rooms.ts';
import { judgeSeeds } from '../apps/cli/src/judge/seeds.ts';
import { Setup } from '../apps/cli/src/judge/setup.ts';
import { type Share, shareOf, shareText } from '../apps/cli/src/judge/share.ts';
import { SEARCH } from '../apps/cli/src/plan/search.ts';
import { createReporter, type Reporter, reportError } from '../apps/cli/src/report.ts';
import { openTunedDevice } from '../apps/cli/src/tuning.ts';

interface Flags {
  model: string;
  count: number;
  seed: number;
  noise: number;
  oracle?: true;
  captions: Captions;
  numInferenceSteps?: number;
  population?: number;
  rounds?: number;
  elite?: number;
  out: string;
  json?: string;
}

interface Verdict {
  readonly data: Record<string, unknown>;
  readonly lines: readonly string[];
}

type Judgement = (
  setup: Setup,
  flags: Flags,
  seeds: Omit<Parameters<typeof judgeSeeds>[0], 'count'>,
) => Promise<Verdict & Pick<Awaited<ReturnType<typeof judgeSeeds>>, 'judged' | 'rejected'>>;

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

const rank: Judgement = async (setup, { count, captions }, seeds) => {
  const places = (all: readonly { distances: readonly number[] }[]) =>
    sum(all.map(({ distances }) => firstPlace(distances)));
  const { judged, rejected } = await judgeSeeds(
    { ...seeds, count },
    (seed) => rankRoom(setup, seed, captions, join(seeds.folder, `${seed}.png`)),
    (all) => `the right one first in ${places(all)}`,
  );
  const rooms = judged.map(({ result }) => result);
  const first = shareOf(places(rooms), count);
  const pasted = shareOf(places(rooms.map(({ pasted }) => ({ distances: pasted }))), count);
  const winners = CANDIDATES.map((name) => [name, rooms.filter(({ order }) => order[0] === name).length]);
  const chance = 1 / CANDIDATES.length;
  return {
    ...{ judged, rejected },
    data: { first, pasted, chance, winners: Object.fromEntries(winners) },
    lines: [
      `"${RIGHT}" is first in        ${shareText(first)}`,
      `hand render on static video  ${shareText(pasted)}`,
      `copy of the static video     ${100 * chance}%, as chance: all candidates tie`,
      `first were: ${winners.map(([name, wins]) => `${name} ${wins}`).join(', ')}`,
    ],
  };
};

const direction: Judgement = async (setup, { count, captions }, seeds) => {
  const right = (all: readonly Pick<OpeningRoom, 'pulled' | 'left'>[]) => sum(all.map(rightOf));
  const { judged, rejected } = await judgeSeeds(
    { ...seeds, count: Math.ceil(count / 2) },
    (seed) => directionOfRoom(setup, seed, captions),
    (all) => `${right(all)} of ${2 * all.length} clips right`,
  );
  const rooms = judged.map(({ result }) => result);
  const clips = 2 * rooms.length;
  const both = shareOf(right(rooms), clips);
  const opens = shareOf(rooms.filter(({ pulled }) => pulled > 0).length, rooms.length);
  const stays = shareOf(rooms.filter(({ left }) => left < 0).length, rooms.length);
  const copied = shareOf(right(rooms.map((room) => room.copied)), clips);
  const ofKind = (name: string, odd: number): [string, Share][] => {
    const some = judged.filter(({ seed }) => seed % 2 === odd).map(({ result }) => result);
    return some.length > 0 ? [[name, shareOf(right(some), 2 * some.length)]] : [];
  };
  const kinds = [...ofKind('drawers', 0), ...ofKind('doors', 1)];
  return {
    ...{ judged, rejected },
    data: { right: both, opens, stays, copied, kinds: Object.fromEntries(kinds) },
    lines: [
      `clips that end as they should  ${shareText(both)}`,
      `  pulling opens                ${shareText(opens)}`,
      `  not pulling does not         ${shareText(stays)}`,
      ...kinds.map(([name, share]) => `  ${name.padEnd(29)}${shareText(share)}`),
      `copy of the static video       ${shareText(copied)}`,
    ],
  };
};

const nearMisses: Judgement = async (setup, { count, captions }, seeds) => {
  const right = (all: readonly MissedRoom[]) => all.filter(({ still }) => still >= AS_IT_WAS).length;
  const { judged, rejected } = await judgeSeeds(
    { ...seeds, count },
    (seed) => missedRoom(setup, seed, captions),
    (all) => `${right(all)} of ${all.length} as they were`,
  );
  const rooms = judged.map(({ result }) => result);
  const kept = shareOf(right(rooms), count);
  const always = shareOf(rooms.filter(({ opened }) => opened >= AS_IT_WAS).length, count);
  const kinds = MISSES.flatMap((name): [string, Share][] => {
    const some = rooms.filter(({ action }) => action === name);
    return some.length > 0 ? [[name, shareOf(right(some), some.length)]] : [];
  });
  return {
    ...{ judged, rejected },
    data: { kept, always, kinds: Object.fromEntries(kinds) },
    lines: [
      `scenes that stay as they were  ${shareText(kept)}`,
      ...kinds.map(([name, share]) => `  ${name.padEnd(29)}${shareText(share)}`),
      `what always opens the thing    ${shareText(always)}`,
    ],
  };
};

const plan: Judgement = async (setup, flags, seeds) => {
  const { count, ...search } = { ...SEARCH, ...flags };
  const opened = (all: readonly { opened: number }[]) => all.filter((room) => room.opened > OPENED).length;
  const { judged, rejected } = await judgeSeeds(
    { ...seeds, count },
    (seed) =>
      planRoom(setup, seed, flags.captions, {
        ...{ population: search.population, rounds: search.rounds, elite: search.elite },
        onClip: (round, done, total) =>
          seeds.reporter.progress(
            `seed ${seed}, round ${round + 1} of ${search.rounds}: clip ${done} of ${total}`,
          ),
      }),
    (all) => `${opened(all)} opened`,
  );
  const share = shareOf(opened(judged.map(({ result }) => result)), count);
  const rooms = judged.map(({ seed, seconds, result }) => ({ seed, minutes: seconds / 60, ...result }));
  const longest = Math.max(...rooms.map(({ minutes }) => minutes));
  return {
    ...{ judged, rejected },
    data: { opened: share, longestMinutes: longest, rooms },
    lines: [
      ...rooms.map(
        (room) =>
          `seed ${room.seed}: ${room.action}; opens ${Math.round(100 * room.opened)}% of its way, ${room.minutes.toFixed(1)} min`,
      ),
      `the drawer opens in  ${shareText(share)}; ${longest.toFixed(1)} minutes a room at most`,
    ],
  };
};

const JUDGEMENTS = {
  rank: { run: rank, count: 50, about: 'five candidates a room: is the one that opens the drawer first' },
  direction: {
    run: direction,
    count: 100,
    about: 'pulling drawers and doors opens them, not pulling does not',
  },
  'near-misses': {
    run: nearMisses,
    count: 100,
    about: 'a hand that does not take hold leaves the scene as it was',
  },
  plan: { run: plan, count: 10, about: 'a hand path found by search opens the drawer in the physics' },
} as const;

/** Of all files of the model: a retrained one is another. */
async function digest(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  for (const file of files.sort()) hash.update(await readFile(file));
  return hash.digest('hex');
}

async function judge(name: keyof typeof JUDGEMENTS, flags: Flags, reporter: Reporter, signal: AbortSignal) {
  const { count, seed, out, json, ...asked } = flags;
  const key = createHash('sha256').update(JSON.stringify([asked, await digest(flags.model)]));
  const folder = join(out, `${name}-${key.digest('hex').slice(0, 12)}`);
  const model = await checkModel(flags.model, { ...flags, seed: flags.noise });
  const device = await openTunedDevice(reporter);
  try {
    const generator = await Generator.load(device, model, reporter, signal);
    const setup = new Setup(device, generator, flags.oracle === true, flags.noise, signal);
    try {
      const from = performance.now();
      const verdict = await JUDGEMENTS[name].run(setup, flags, { folder, seed, signal, reporter });
      const seconds = (performance.now() - from) / 1000;
      const { judged, rejected, data, lines } = verdict;
      const secondsARoom = sum(judged.map((room) => room.seconds)) / judged.length;
      const lastSeed = judged.at(-1)!.seed;
      const result = { judgement: name, flags, ...data, secondsARoom, lastSeed, rejected, seconds, folder };
      if (json) await writeFileAtomic(json, `${JSON.stringify(result, undefined, 1)}\n`);
      reporter.result(
        result,
        [
          flags.oracle ? 'the simulator in place of the model: the ceiling' : generator.name,
          ...lines,
          `${judged.length} rooms of seeds ${seed} to ${lastSeed}, ${rejected} unusable; ${secondsARoom.toFixed(1)} s a room; ${folder}`,
        ].join('\n'),
      );
    } finally {
      setup.destroy();
    }
  } finally {
    device.destroy();
  }
}

const program = new Command('judge').description(
  'how a world model is judged on rooms that nobody trained on',
);
for (const [name, { count, about }] of Object.entries(JUDGEMENTS)) {
  const command = program
    .command(name)
    .description(about)
    .option('--model <dir>', 'model folder', DEFAULT_MODEL)
    .option('--count <n>', name === 'direction' ? 'clips, two a room' : 'rooms', integer(1), count)
    .option('--seed <n>', 'of the first room', integer(0), FIRST_TEST_SEED)
    .option('--noise <n>', 'seed of the noise', integer(0), 42)
    .option('--num-inference-steps <n>', "denoising steps; the model's own if left out", integer(1, 1000))
    .addOption(
      new Option('--captions <which>', "each clip's own, for all of a room the words for pulling, or none")
        .choices(CAPTIONS)
        .default('own'),
    )
    .option('--oracle', 'the simulator answers in place of the model: the ceiling')
    .option('--out <dir>', 'keeps the result of every room', 'runs/judge')
    .option('--json <file>', 'the verdict as data');
  if (name === 'plan') {
    command
      .option('--population <n>', 'paths a round', integer(2), SEARCH.population)
      .option('--rounds <n>', 'rounds', integer(1), SEARCH.rounds)
      .option('--elite <n>', 'paths that the next round is drawn around', integer(1), SEARCH.elite);
  }
  command.action(async (flags: Flags) => {
    await interruptible((signal) =>
      judge(name as keyof typeof JUDGEMENTS, flags, createReporter(false), signal),
    );
  });
}
try {
  await program.parseAsync();
  process.exit(0);
} catch (error) {
  process.exit(reportError(error, false));
}
