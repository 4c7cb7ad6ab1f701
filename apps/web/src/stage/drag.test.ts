import { cameraToWorld, fromFieldOfView, type Trajectory } from '@dwm/renderer';
import { makeMotion, makeWorld, restOf } from '@dwm/synth';
import { describe, expect, test, vi } from 'vitest';
import { GALLERY } from '../gallery/rooms.ts';
import { projected, rigOf } from '../scene-editor/camera-rig.ts';
import { fittedTo, guideOf, handAt, hasHold, progress, startOf, towards } from '../scene-editor/guide.ts';
import {
  calledBack,
  draggedInPlane,
  grasped,
  handBefore,
  handHolding,
  handPose,
  isSeen,
  turned,
} from '../scene-editor/hand-rig.ts';
import { add, length, scale, subtract, type Vec3 } from '../scene-editor/vectors.ts';
import { createGesture } from './gesture.ts';
import { doesAsSaid, hasMoved, motionOf } from './motion-of.ts';

const SIZE = { width: 96, height: 64, frames: 17, fps: 8, fixedCamera: true };
const dot4 = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  [0, 1, 2, 3].reduce((sum, i) => sum + a[i] * b[i], 0);
const wrist = (joints: ArrayLike<number>): Vec3 => [joints[0], joints[1], joints[2]];

describe('in every room of the gallery', async () => {
  const rooms = await Promise.all(
    GALLERY.map(async ({ name, seed, rest }) => {
      const world = await makeWorld(seed, undefined, undefined, rest);
      const { acting, actingFrames } = makeMotion(world, SIZE);
      const acts = { from: actingFrames[0], to: actingFrames.at(-1)! };
      return { name, seed, rest, acting, guide: guideOf({ trajectory: acting, acts }) };
    }),
  );

  test.each(rooms)(
    '$name: a hand that is called back is in view, whichever way the eye looks',
    ({ acting, guide }) => {
      const camera = rigOf(acting.frames[guide!.approach.length].camera);
      const lens = fromFieldOfView(960, 640, 1.2);
      const held = handHolding(guide!);
      expect(calledBack({ ...held, position: [9, 9, 9] }, camera, lens)).toEqual(held);
      const away = { ...camera, yaw: camera.yaw + 2 };
      expect(isSeen(held, away, lens)).toBe(false);
      expect(isSeen(calledBack(held, away, lens), away, lens)).toBe(true);
    },
  );

  test.each(rooms)(
    '$name: one hand holds on, and is dragged to where the room has it',
    ({ acting, guide }) => {
      const camera = rigOf(acting.frames[guide!.approach.length].camera);
      const lens = fromFieldOfView(960, 640, 1.2);
      const start = handHolding(guide!);
      const from = projected(camera, lens, start.position);
      const to = projected(camera, lens, add(start.position, towards(guide!)));
      let hand = start;
      for (let i = 0; i < 20; i++)
        hand = draggedInPlane(hand, camera, lens, (to.x - from.x) / 20, (to.y - from.y) / 20);
      const { along, off } = progress(guide!, hand.position);
      expect(along).toBeCloseTo(1, 1);
      expect(off).toBeLessThan(0.05);
      // Held things keep the hand on their way.
      const last = guide!.way.at(-1)!;
      expect(length(subtract(wrist(handPose(hand).joints!), wrist(last)))).toBeLessThan(0.06);
      expect(hasHold(guide!, hand.position)).toBe(true);
      expect(hasHold(guide!, add(hand.position, [0, 0.5, 0]))).toBe(false);
      const drag = {
        samples: [
          { camera, hand: start },
          { camera, hand },
        ],
        ownCamera: true,
      };
      expect(hasMoved(drag)).toBe(true);
      expect(doesAsSaid(drag)).toBe(true);
      const back = { ...start, position: subtract(start.position, scale(towards(guide!), 0.8)) };
      expect(
        doesAsSaid({
          ...drag,
          samples: [
            { camera, hand: start },
            { camera, hand: back },
          ],
        }),
      ).toBe(false);
      const { frames } = motionOf(drag, acting);
      expect(frames).toHaveLength(17);
      expect(frames.slice(0, guide!.approach.length)).toEqual(acting.frames.slice(0, guide!.approach.length));
      expect(frames.every(({ camera: pose }, i) => pose === acting.frames[i].camera)).toBe(true);
    },
  );

  test.each(rooms)(
    '$name: a hand that is opened or turned lets go where it is, and its motion begins there',
    ({ acting, guide }) => {
      const camera = rigOf(acting.frames[guide!.approach.length].camera);
      const held = handHolding(guide!);
      const bent = turned(held, 0, 0.1, 0);
      const seen = handPose(held).joints!;
      for (const free of [grasped(held), bent]) {
        expect(free.guide).toBeUndefined();
        expect(length(subtract(wrist(handPose(free).joints!), wrist(seen)))).toBeLessThan(1e-9);
      }
      const angle = 2 * Math.acos(Math.abs(dot4(seen.subarray(3, 7), bent.rotation)));
      expect(angle).toBeCloseTo(0.1, 6);
      expect(dot4(seen.subarray(3, 7), grasped(held).rotation)).toBeCloseTo(1, 9);
      expect(grasped(grasped(held)).grasp).toBe(1);
      const opens = {
        samples: [
          { camera, hand: held },
          { camera, hand: grasped(held) },
        ],
        ownCamera: true,
      };
      expect(hasMoved(opens)).toBe(true);
      expect(doesAsSaid(opens)).toBe(false);
      const [first] = motionOf(opens, acting).frames;
      expect(first.hands[guide!.side]!.joints).toEqual(seen);
    },
  );

  test('what was brought to rest before is what the physics gives', async () => {
    const [{ seed, rest }] = rooms;
    expect(restOf(await makeWorld(seed))).toEqual(rest);
  });

  test('of another world it is refused', async () => {
    const [{ seed, rest }] = rooms;
    await expect(makeWorld(seed, undefined, undefined, [...rest, 1])).rejects.toThrow(
      /rest: must have \d+ numbers/,
    );
  });
});

test('a hand that is pulled far off is free, and is posed as the way has it nearest to there', () => {
  const pose = (x: number, turn: number) =>
    Float64Array.from({ length: 175 }, (_, i) =>
      i % 7 === 0 ? x : i % 7 === 4 ? turn : i % 7 === 6 ? 1 : 0,
    );
  const guide = { side: 'right' as const, approach: [], way: [pose(0, 0), pose(0.2, 0.5)] };
  expect(wrist(handAt(guide, [0.1, 0.05, 0]).joints!)).toEqual([0.1, 0, 0]);
  const far = handAt(guide, [0.1, 0.3, 0]).joints!;
  expect(wrist(far)[1]).toBeCloseTo(0.3, 9);
  expect(far[4] / far[6]).toBeCloseTo(0.25, 9);
  expect(Math.hypot(far[3], far[4], far[5], far[6])).toBeCloseTo(1, 9);
  expect(startOf(guide)).toEqual([0, 0, 0]);
});

test('a drag is fitted to a run: a long one is played faster, a short one stays where it ended', () => {
  expect(fittedTo([0, 1, 2, 3, 4, 5, 6, 7, 8], 5)).toEqual([0, 2, 4, 6, 8]);
  expect(fittedTo([0, 1], 4)).toEqual([0, 1, 1, 1]);
});

test('a hand that holds nothing takes its camera along', () => {
  const camera = { position: [0, 1.5, 0] as const, yaw: 0, pitch: 0 };
  const hand = handBefore(camera, 'left');
  const lens = fromFieldOfView(48, 32, 1.2);
  const frame = (i: number) => ({
    seconds: i / 8,
    intrinsics: lens,
    camera: cameraToWorld('opengl', [1, 0, 0, 0, 0, 1, 0, 9, 0, 0, 1, 0, 0, 0, 0, 1]),
    hands: { left: null, right: null },
  });
  const roomMotion: Trajectory = { fps: 8, frames: Array.from({ length: 5 }, (_, i) => frame(i)) };
  const moved = { ...hand, position: add(hand.position, [0.2, 0, 0]) };
  const { frames } = motionOf(
    {
      samples: [
        { camera, hand },
        { camera, hand: moved },
      ],
      ownCamera: true,
    },
    roomMotion,
  );
  expect(frames.map(({ camera: { matrix } }) => matrix[7])).toEqual([1.5, 1.5, 1.5, 1.5, 1.5]);
  expect(frames.at(-1)!.hands.left!.joints![0] - frames[0].hands.left!.joints![0]).toBeCloseTo(0.2, 9);
  expect(frames[0].hands.right).toBe(null);
  const still = { samples: [{ camera, hand }], ownCamera: true };
  expect(hasMoved(still)).toBe(false);
  const closes = {
    ...still,
    samples: [
      { camera, hand },
      { camera, hand: grasped(hand) },
    ],
  };
  expect(hasMoved(closes)).toBe(true);
});

test('a gesture is from taking to letting go; keys let go when none comes any more', () => {
  vi.useFakeTimers();
  let value = 0;
  const done: (readonly number[])[] = [];
  const gesture = createGesture(
    () => value++,
    () => 10,
    () => {},
    (samples) => done.push(samples),
  );
  gesture.begin();
  gesture.begin();
  vi.advanceTimersByTime(310);
  gesture.end();
  gesture.end();
  expect(done).toEqual([[0, 1, 2, 3, 4]]);
  gesture.nudged();
  vi.advanceTimersByTime(600);
  gesture.nudged();
  vi.advanceTimersByTime(600);
  expect(done).toHaveLength(1);
  vi.advanceTimersByTime(400);
  expect(done).toHaveLength(2);
  vi.useRealTimers();
});
