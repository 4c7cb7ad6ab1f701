import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readVariants } from './variants.ts';

let file: string;
beforeAll(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'dwm-variants-')), 'manifest.json');
});

const read = async (manifest: unknown) => {
  await writeFile(file, JSON.stringify(manifest));
  return readVariants(file, { promptSubdir: 'prompts' }, undefined);
};
const shared = { video_path: 'a/videos/7.mp4', prompt: ' open it ' };
const variants = [
  { label: 'left hand!', hand_video_path: 'left.mp4' },
  { label: '..right', hand_video_path: 'right.mp4' },
];

test('a job for each of the hands, in a folder of its label, with the scene of all', async () => {
  expect(await read({ mode: 'hand_video', shared, variants })).toEqual({
    prompt: 'open it',
    jobs: ['left', 'right'].map((side) => ({
      ...{ name: join(side === 'left' ? 'left_hand' : side, '7'), index: 0, handVideo: `${side}.mp4` },
      ...{ staticVideo: 'a/videos_static/7.mp4', truth: 'a/videos/7.mp4', promptFile: 'a/prompts/7.txt' },
    })),
  });
  const alone = { static_video_path: 'room.mp4', video_path: null };
  const [{ name, truth }] = (await read({ mode: 'hand_video', shared: alone, variants })).jobs;
  expect([name, truth]).toEqual([join('left_hand', 'room'), undefined]);
});

test.each([
  ['mode', { mode: 'depth' }, 'mode: expected "hand_video", got "depth"'],
  ['nothing shared', { shared: [] }, 'shared: expected an object'],
  ['no scene', { shared: { prompt: 'x' } }, 'shared.static_video_path: is required'],
  ['disparity', { shared: { ...shared, hand_disparity_video_path: 'd.mp4' } }, 'does not have; leave it out'],
  [
    'two prompts',
    { shared: { ...shared, prompt_file: 'p.txt' } },
    'expected prompt or prompt_file, got both',
  ],
  ['no variants', { variants: [] }, 'variants: expected a list'],
  ['a variant without hands', { variants: [{ label: 'a' }] }, 'variants[0].hand_video_path: expected text'],
  ['a label of dots', { variants: [{ ...variants[0], label: '..' }] }, 'leaves no name for a folder'],
  ['a label twice', { variants: [variants[0], { ...variants[1], label: 'left_hand' }] }, 'variants[0] too'],
])('%s is refused, naming the field', async (_, change, message) => {
  await expect(read({ mode: 'hand_video', shared, variants, ...change })).rejects.toThrow(message);
});
