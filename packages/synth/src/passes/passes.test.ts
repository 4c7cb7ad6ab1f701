import { openNodeDevice } from '@dwm/core-tensor/node';
import { frameAt } from '@dwm/media';
import { afterAll, expect, test } from 'vitest';
import { measurePasses, PassRenderer, passesProblem } from './index.ts';
import { slidingBox } from './testing.ts';

const device = await openNodeDevice();
const renderer = new PassRenderer(device);
afterAll(() => {
  renderer.destroy();
  device.destroy();
});

test('three videos: nothing moves, hands on black with a dropped frame, what the hand moves', async () => {
  const clip = slidingBox();
  const passes = await renderer.render(clip);
  const { staticVideo, handVideo, interaction, after } = passes;
  for (const video of [staticVideo, handVideo, interaction])
    expect([video.frames, video.height, video.width, video.fps]).toEqual([5, 64, 96, 8]);

  // The camera stands still, so a static frame is like any other.
  for (let i = 1; i < 5; i++)
    expect(Buffer.compare(frameAt(staticVideo, i).data, frameAt(staticVideo, 0).data)).toBe(0);
  expect(frameAt(handVideo, 1).data.every((value) => value === 0)).toBe(true);
  expect(frameAt(handVideo, 2).data.some((value) => value > 100)).toBe(true);

  // Where neither box nor arm nor shadow is, both videos are equal to the bit.
  const [before, then] = [frameAt(staticVideo, 4).data, frameAt(interaction, 4).data];
  const corner = (data: Uint8Array) => data.subarray(0, 96 * 3 * 12);
  expect(Buffer.compare(corner(before), corner(then))).toBe(0);
  expect(Buffer.compare(before, then)).not.toBe(0);

  const red = (data: Uint8Array) => {
    let [sum, count] = [0, 0];
    for (let i = 0; i < 96 * 64; i++)
      if (data[3 * i] > 2 * data[3 * i + 1]) {
        sum += i % 96;
        count++;
      }
    return sum / count;
  };
  expect(red(after.data) - red(frameAt(staticVideo, 4).data)).toBeGreaterThan(8);
  expect(passesProblem(clip, passes)).toBeUndefined();
  expect(measurePasses(clip, passes).framesWithHand).toBe(1);
});

test('the same clip gives the same bytes, another one between them', async () => {
  const first = await renderer.render(slidingBox());
  await renderer.render(slidingBox(5, 48, 32));
  const again = await renderer.render(slidingBox());
  for (const video of ['staticVideo', 'handVideo', 'interaction'] as const)
    expect(Buffer.compare(first[video].data, again[video].data)).toBe(0);
});

test('clips that show nothing are found out', async () => {
  const still = slidingBox();
  const frozen = {
    ...still,
    moving: still.moving.map((part) => ({ ...part, worlds: part.worlds.map(() => part.worlds[0]) })),
  };
  expect(passesProblem(frozen, await renderer.render(frozen))).toBe('change not visible');
  expect(
    passesProblem({ ...frozen, action: 'touch-nothing' }, await renderer.render(frozen)),
  ).toBeUndefined();
  expect(passesProblem({ ...frozen, action: 'try-drawer' }, await renderer.render(frozen))).toBeUndefined();
  expect(passesProblem({ ...still, action: 'push-shut-drawer' }, await renderer.render(still))).toBe(
    'something moved',
  );

  const away = {
    ...still,
    trajectory: {
      ...still.trajectory,
      frames: still.trajectory.frames.map((frame) => ({
        ...frame,
        hands: frame.hands.right
          ? {
              left: null,
              right: {
                joints: frame.hands.right.joints!.map((value, i) => (i % 7 === 0 ? value + 3 : value)),
              },
            }
          : frame.hands,
      })),
    },
  };
  expect(passesProblem(away, await renderer.render(away))).toBe('hand out of view');
});
