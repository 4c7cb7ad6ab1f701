import { expect, test } from 'vitest';
import { Pump } from './pump.ts';
import { type Block, Take } from './take.ts';

const BLOCKS = { first: 1, next: 4 };

/** A model that answers when it is told to. */
function model() {
  const answers: { give: () => void; fail: (error: Error) => void }[] = [];
  const pushed: (readonly number[])[] = [];
  const shown: string[] = [];
  const push = (frames: readonly number[]) => {
    pushed.push(frames);
    return new Promise<string>((resolve, reject) => {
      answers.push({ give: () => resolve(frames.join()), fail: reject });
    });
  };
  const pump = new Pump<number, string>(BLOCKS, 0, push, (block) => shown.push(block));
  const settle = () => new Promise((resolve) => setTimeout(resolve));
  return { pump, pushed, shown, answers, settle };
}

test('two blocks are under way and one waits at most: what finds no place is refused', async () => {
  const { pump, pushed, answers, shown, settle } = model();
  const taken = Array.from({ length: 20 }, (_, i) => i).filter((i) => pump.offer(i));
  expect(taken).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(pushed).toEqual([[0], [1, 2, 3, 4]]);
  expect(pump.isFull).toBe(true);
  answers[0].give();
  await settle();
  expect(pushed).toHaveLength(3);
  expect(pump.offer(20)).toBe(true);
  // A later block waits for the one before it.
  answers[2].give();
  await settle();
  expect(shown).toEqual(['0']);
  answers[1].give();
  await settle();
  expect(shown).toEqual(['0', '1,2,3,4', '5,6,7,8']);
});

test('a hand that is let go fills its block; what comes before it is all taken', async () => {
  const { pump, pushed, answers, settle } = model();
  pump.begin([10, 11, 12]);
  pump.offer(13);
  const ended = pump.end();
  expect(pushed).toEqual([[10], [11, 12, 13, 13]]);
  for (const { give } of answers) give();
  await ended;
  await settle();
  expect(pushed).toHaveLength(2);
  expect(pump.pushed).toBe(2);
  // The next time the hand is taken it goes on from there.
  expect(pump.offer(14)).toBe(true);
  expect(pushed).toHaveLength(2);
});

test('a push that failed ends it, and says why', async () => {
  const { pump, answers, shown, settle } = model();
  for (let i = 0; i < 9; i++) pump.offer(i);
  answers[0].fail(new Error('out of memory'));
  answers[1].give();
  await settle();
  expect(pump.hasFailed).toBe(true);
  expect(pump.offer(9)).toBe(false);
  await expect(pump.end()).rejects.toThrow('out of memory');
  expect(shown).toEqual([]);
});

test('a take is joined like a clip, keeps where the camera was, and only the newest', () => {
  const clip = (frames: number, value: number) => ({
    ...{ frames, height: 5, width: 7, fps: 8 },
    data: new Uint8Array(frames * 105).fill(value),
  });
  const frame = (seconds: number) => ({ seconds }) as never;
  const block = (value: number, scene?: number): Block => ({
    ...{ video: clip(4, value), hands: clip(4, value + 100), seconds: 0.5, held: 0 },
    ...(scene !== undefined && { scene: clip(4, scene) }),
  });
  const take = new Take(clip(1, 7));
  take.add(block(1), [0, 0, 0, 0].map(frame));
  take.add(block(2, 9), [0, 0, 0, 0].map(frame));
  take.add(block(3), [0, 0, 0, 0].map(frame));
  const { video, hands, scene, trajectory, seconds } = take.joined();
  const firsts = (of: typeof video) => [0, 3, 4, 8, 11].map((i) => of.data[i * 105]);
  expect(firsts(video)).toEqual([1, 1, 2, 3, 3]);
  expect(firsts(hands)).toEqual([101, 101, 102, 103, 103]);
  expect(firsts(scene)).toEqual([7, 7, 9, 9, 9]);
  expect(trajectory.frames.map((at) => at.seconds)).toEqual(Array.from({ length: 12 }, (_, i) => i / 8));
  expect([video.frames, seconds]).toEqual([12, 1.5]);
  for (let i = 0; i < 140; i++) take.add(block(i % 50), [0, 0, 0, 0].map(frame));
  // A minute of small pictures.
  expect(take.frames).toBe(480);
  expect(take.joined().video.data[0]).toBe((140 - 120) % 50);
});
