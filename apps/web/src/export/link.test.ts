import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { fromFieldOfView, NO_HANDS } from '@dwm/renderer';
import { makeMotion, makeWorld } from '@dwm/synth';
import { expect, test } from 'vitest';
import { handBefore } from '../scene-editor/hand-rig.ts';
import { presetTrajectory } from '../scene-editor/presets.ts';
import { onGrid, readLink, writeLink } from './link.ts';

const settings = {
  width: 96,
  height: 64,
  frames: 17,
  fps: 8,
  steps: 10,
  guidance: 1.5,
  seed: 3,
  prompt: '',
};
const camera = { position: [0.3, 1.6, -2] as const, yaw: 0.7, pitch: -0.2 };
const moved = presetTrajectory(
  'open',
  handBefore(camera, 'left'),
  camera,
  fromFieldOfView(96, 64, 1.2),
  settings,
);
/** With a drop-out in the middle. */
const trajectory = {
  ...moved,
  frames: moved.frames.map((frame, i) => (i === 5 ? { ...frame, hands: NO_HANDS } : frame)),
};

test('a link gives back, number for number, the trajectory that was on its grid', async () => {
  const kept = onGrid(trajectory);
  const link = await writeLink({ room: 1_000_012, settings, trajectory: kept });
  expect(await readLink(link)).toEqual({ room: 1_000_012, settings, trajectory: kept });
  expect(onGrid(kept)).toBe(kept);
});

test("the room's own motion and its words take no place; words that were typed do", async () => {
  const own = { ...settings, composite: true, prompt: 'The room says so.' };
  const link = await writeLink({ room: 5, settings: own });
  expect(link.length).toBeLessThan(120);
  expect(await readLink(link)).toEqual({ room: 5, settings: { ...own, prompt: '' } });
  const typed = { room: 5, settings: { ...own, prompt: 'Ein Becher wird geöffnet.' }, typed: true };
  expect(await readLink(await writeLink(typed))).toEqual(typed);
});

test('a link is short: a hand that is moved by the page, and one with every joint in motion', async () => {
  expect((await writeLink({ room: 1, settings, trajectory })).length).toBeLessThan(1500);
  const world = await makeWorld(1_000_001, 'pick-and-place');
  const { acting } = makeMotion(world, { ...settings, fixedCamera: false });
  expect((await writeLink({ room: 1, settings, trajectory: acting })).length).toBeLessThan(3000);
});

test('the grid is finer than anyone sees', () => {
  const kept = onGrid(trajectory);
  trajectory.frames.forEach(({ hands, camera: pose }, i) => {
    const joints = kept.frames[i].hands.left?.joints;
    expect(joints === undefined).toBe(hands.left === null);
    joints?.forEach((value, k) => {
      // Half a millimetre at the fingertips; quaternions of either sign are one rotation.
      const want = hands.left!.joints![k];
      const off = k % 7 < 3 ? value - want : Math.abs(value) - Math.abs(want);
      expect(Math.abs(off)).toBeLessThan(k % 7 < 3 ? 5e-4 : 2e-3);
    });
    pose.matrix.forEach((value, k) => {
      expect(Math.abs(value - kept.frames[i].camera.matrix[k])).toBeLessThan(5e-4);
    });
  });
});

const bytesOf = (link: string) => inflateRawSync(Buffer.from(link.slice('#dwm2='.length), 'base64url'));
const linkOf = (bytes: Uint8Array) => `#dwm2=${deflateRawSync(bytes).toString('base64url')}`;

/** A link with another head, its body as it was. */
function withHead(link: string, change: (head: Record<string, unknown>) => unknown): string {
  const bytes = bytesOf(link);
  const length = bytes.readUInt16BE(0);
  const head = JSON.stringify(change(JSON.parse(bytes.subarray(2, 2 + length).toString())));
  const size = Buffer.alloc(2);
  size.writeUInt16BE(Buffer.byteLength(head));
  return linkOf(Buffer.concat([size, Buffer.from(head), bytes.subarray(2 + length)]));
}

test('no link, a damaged one, and one of an older page', async () => {
  expect(await readLink('')).toBeUndefined();
  const link = await writeLink({ room: 1, settings, trajectory });
  await expect(readLink(link.slice(0, 60))).rejects.toThrow('damaged or cut short');
  await expect(readLink(`#dwm2=${'A'.repeat(300_000)}`)).rejects.toThrow('damaged');
  await expect(readLink('#dwm1=abc')).rejects.toThrow('older page');
  await expect(readLink('#dwm3=abc')).rejects.toThrow('newer page');
  for (const head of [null, [], 3, {}, { run: [] }])
    await expect(readLink(withHead(link, () => head))).rejects.toThrow('damaged');
});

test('a link that unpacks to gigabytes is given up early', async () => {
  const bomb = linkOf(Buffer.alloc(100_000_000));
  expect(bomb.length).toBeLessThan(200_000);
  await expect(readLink(bomb)).rejects.toThrow('damaged');
});

test.each([
  ['a huge room', { room: 1e99 }, 'Room number: expected a whole number from 0 to'],
  ['a negative room', { room: -1 }, 'Room number'],
  ['a room in words', { room: '7' }, 'Room number'],
  ['no steps', { run: [3, 0, 1, 96, 64, 17, 8] }, 'Steps: expected a whole number from 1 to 1000, got 0'],
  ['a huge picture', { run: [3, 1, 1, 1e9, 64, 17, 8] }, 'Width: expected a multiple of 16 from 32 to 1440'],
  ['too much of everything', { run: [3, 1, 1, 1440, 1440, 97, 8] }, 'Width × height × frames'],
  ['odd pixels', { run: [3, 1, 1, 97, 64, 17, 8] }, 'Width'],
  ['a day of frames', { run: [3, 1, 1, 96, 64, 1e6, 8] }, 'Frames: expected one more than a multiple of 4'],
  ['no time', { run: [3, 1, 1, 96, 64, 17, 0] }, 'Frames a second'],
  ['no seed', { run: [null, 1, 1, 96, 64, 17, 8] }, 'Seed'],
  ['a long prompt', { prompt: 'x'.repeat(3000) }, 'Prompt'],
  ['a prompt that is none', { prompt: {} }, 'Prompt'],
  ['compositing in words', { composite: 'yes' }, 'composite'],
  ['fewer hands than frames', { hands: [1] }, 'damaged'],
  ['a third hand', { hands: Array(17).fill(3) }, 'damaged'],
  ['hands that are no list', { hands: 'all' }, 'damaged'],
  ['more hands than numbers', { hands: Array(17).fill(2) }, 'damaged'],
  ['a lens without width', { lens: [0, 1, 1, 1] }, 'damaged'],
  ['a lens of words', { lens: ['a', 1, 1, 1] }, 'damaged'],
])('%s is refused in one line', async (_, change, message) => {
  const link = withHead(await writeLink({ room: 1, settings, trajectory }), (head) => ({
    ...head,
    ...change,
  }));
  await expect(readLink(link)).rejects.toThrow(message);
  await expect(readLink(link)).rejects.not.toThrow('\n');
});
