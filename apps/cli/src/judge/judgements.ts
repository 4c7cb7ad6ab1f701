/** What a world model is asked in rooms that nobody trained on, and what its answers come to. */
import { join } from 'node:path';
import { type Share, shareOf, shareText } from '@dwm/dwm-model/metrics';
import { CANDIDATES, LIVE_ACTS, MISSES, OPENED } from '@dwm/synth';
import { SEARCH } from '../plan/search.ts';
import type { Captions } from './captions.ts';
import { directionOfRoom, type OpeningRoom, rightOf } from './direction.ts';
import { type LiveRoomResult, LiveRooms, RUN_FRAMES } from './live.ts';
import { AS_IT_WAS, type MissedRoom, missedRoom } from './near-misses.ts';
import { planRoom } from './planning.ts';
import { firstPlace, RIGHT, rankRoom } from './ranking.ts';
import { judgeSeeds } from './seeds.ts';
import type { Setup } from './setup.ts';

interface Asked {
  readonly count: number;
  readonly captions: Captions;
  readonly population?: number;
  readonly rounds?: number;
  readonly elite?: number;
}

interface Verdict {
  readonly data: Record<string, unknown>;
  readonly lines: readonly string[];
}

type Judgement = (
  setup: Setup,
  asked: Asked,
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

const plan: Judgement = async (setup, asked, seeds) => {
  const { count, captions, ...search } = { ...SEARCH, ...asked };
  const opened = (all: readonly { opened: number }[]) => all.filter((room) => room.opened > OPENED).length;
  const { judged, rejected } = await judgeSeeds(
    { ...seeds, count },
    (seed) =>
      planRoom(setup, seed, captions, {
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

const live: Judgement = async (setup, { count, captions }, seeds) => {
  const right = (all: readonly LiveRoomResult[]) => all.filter(({ end }) => end > 0).length;
  const rooms = new LiveRooms(setup);
  const { judged, rejected } = await judgeSeeds(
    { ...seeds, count },
    (seed) => rooms.room(seed, captions),
    (all) => `${right(all)} of ${all.length} end as they should`,
  ).finally(() => rooms.destroy());
  const results = judged.map(({ result }) => result);
  const acts = LIVE_ACTS.map(({ name }, k): [string, Share] => [
    name,
    shareOf(results.filter((room) => room.acts[k] > 0).length, count),
  ]);
  const end = shareOf(right(results), count);
  const unchanged = sum(results.map((room) => room.unchanged)) / count;
  return {
    ...{ judged, rejected },
    data: { acts: Object.fromEntries(acts), end, unchanged },
    lines: [
      'the thing is as it should be after the hands',
      ...acts.map(([name, share]) => `  ${name.padEnd(29)}${shareText(share)}`),
      `and at frame ${RUN_FRAMES - 1}               ${shareText(end)}`,
      `unchanged region there         ${unchanged.toFixed(1)} dB`,
    ],
  };
};

/** Each with the usual count of rooms, or of clips. */
export const JUDGEMENTS = {
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
  live: {
    run: live,
    count: 100,
    about: 'a live model keeps what hands open, shuts it with them, and does not drift',
  },
  plan: { run: plan, count: 10, about: 'a hand path found by search opens the drawer in the physics' },
} as const satisfies Record<string, { run: Judgement; count: number; about: string }>;
