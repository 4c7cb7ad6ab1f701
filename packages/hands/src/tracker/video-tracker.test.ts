import { expect, test } from 'vitest';
import type { Followed } from './followed.ts';
import type { Picture, SeenHand } from './types.ts';
import { VideoTracker } from './video-tracker.ts';

const handAt = (x: number): SeenHand => ({
  side: 'left',
  sideCertainty: 1,
  presence: 1,
  atOnce: true,
  points: Array.from({ length: 21 }, (_, i) => [x + (i % 5), 50 - i] as const),
  world: new Float64Array(63),
});
const followed = (hand: SeenHand): Followed => ({
  look: { hand, region: { x: 0, y: 0, size: 1, angle: 0 }, clarity: 1 },
  size: 1,
  colours: new Float64Array(1),
  unseen: 0,
  isNew: true,
});

/** Sees what `forwards` says, by the number in a picture; what is begun is seen in `back`'s pictures too. */
function tracked(forwards: number[][], begun: number[], back: number[]) {
  let at = -1;
  const asked: number[] = [];
  const tracker = new VideoTracker({
    next: async ({ data }) => {
      at = data[0];
      return forwards[at].map(handAt);
    },
    get begun() {
      return begun.includes(at) ? forwards[at].slice(-1).map((x) => followed(handAt(x))) : [];
    },
    closer: async (_, hand) => hand,
    follow: async ({ data }, known) => {
      asked.push(data[0]);
      return back.includes(data[0]) ? known : undefined;
    },
  });
  return { tracker, asked };
}

const picture = (index: number): Picture => ({ data: Uint8Array.of(index, 0, 0), width: 1, height: 1 });

test('a hand is followed back to where it is not seen, or is known', async () => {
  const forwards = [[300], [300], [0], [300], [300], [300], [300, 0], [300, 0]];
  const run = async (back: number[]) => {
    const { tracker, asked } = tracked(forwards, [6], back);
    for (let i = 0; i < forwards.length; i++) await tracker.add(picture(i));
    return { asked, shown: tracker.hands.map((hands) => hands.map(({ points }) => points[0][0])) };
  };
  expect(await run([5, 4])).toEqual({
    asked: [5, 4, 3],
    shown: [[300], [300], [0], [300], [300, 0], [300, 0], [300, 0], [300, 0]],
  });
  const known = await run([0, 1, 2, 3, 4, 5]);
  expect(known.asked).toEqual([5, 4, 3, 2]);
  expect(known.shown[2]).toEqual([0]);
});
