import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PythonRandom } from '../../training/data/python-random.ts';
import { jobsOfFolders } from './encode-jobs.ts';
import { checkSamples, findVideos, relativeTo, splitDataset, writeSplit } from './split.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'dwm-split-'));
});
afterAll(() => rm(root, { recursive: true }));

test("shuffles are Python's", () => {
  // random.seed(s); random.shuffle(l); random.shuffle(l), l = list(range(10))
  const want: [number, string][] = [
    [0, '6,3,9,2,7,8,0,1,5,4'],
    [42, '8,6,2,5,3,0,4,7,9,1'],
  ];
  for (const [seed, order] of want) {
    const random = new PythonRandom(seed);
    const list = Array.from({ length: 10 }, (_, i) => i);
    random.shuffle(list);
    random.shuffle(list);
    expect(list.join()).toBe(order);
  }
});

const OPTIONS = { testRatio: 0.15, valRatio: 0.15, seed: 42 };

test('lists are those of the original: by action, or by clip', () => {
  // create_dataset_file.py with seed 42 on the same paths.
  const paths = Array.from({ length: 3 }, (_, s) => Array.from({ length: 4 }, (_, a) => [s, a]))
    .flat()
    .flatMap(([s, a]) =>
      Array.from({ length: 5 }, (_, i) => `trumans/scene${s}/act${a}/videos/0000${i}.mp4`),
    );
  const { train, val, test: testing } = splitDataset(paths, 'trumans', OPTIONS);
  expect([train.length, val.length, testing.length]).toEqual([44, 11, 5]);
  expect([...new Set(testing.map((path) => path.split('/').slice(1, 3).join('_')))].sort()).toEqual([
    'scene1_act3',
  ]);
  expect([...val].sort()).toEqual([
    'trumans/scene0/act0/videos/00002.mp4',
    'trumans/scene0/act1/videos/00000.mp4',
    'trumans/scene0/act2/videos/00004.mp4',
    'trumans/scene0/act3/videos/00004.mp4',
    'trumans/scene1/act0/videos/00003.mp4',
    'trumans/scene1/act1/videos/00001.mp4',
    'trumans/scene1/act2/videos/00004.mp4',
    'trumans/scene2/act0/videos/00002.mp4',
    'trumans/scene2/act1/videos/00001.mp4',
    'trumans/scene2/act2/videos/00003.mp4',
    'trumans/scene2/act3/videos/00004.mp4',
  ]);
  const clips = splitDataset(paths.slice(0, 20), 'taste_rob', OPTIONS);
  expect([...clips.test].sort().map((path) => path.slice(8, -4))).toEqual([
    'scene0/act1/videos/00000',
    'scene0/act2/videos/00004',
    'scene0/act3/videos/00004',
  ]);
  expect(splitDataset(paths.slice(0, 2), 'taste_rob', OPTIONS)).toMatchObject({
    test: [],
    val: { length: 1 },
  });
  expect(splitDataset([], 'taste_rob', OPTIONS)).toEqual({ train: [], val: [], test: [] });
});

test('folders of frames and other videos are clips too; two clips of one name are refused', async () => {
  const data = join(root, 'mixed');
  for (const folder of ['videos/2', 'videos/.hidden', 'videos_static/2'])
    await mkdir(join(data, 'sceneA/act1', folder), { recursive: true });
  for (const file of ['videos/10.mp4', 'videos/1.WEBM', 'videos/notes.txt', 'videos_static/1.mov'])
    await writeFile(join(data, 'sceneA/act1', file), '');
  const videos = await findVideos(data, 'trumans');
  expect(videos.map((path) => path.slice(path.lastIndexOf('/') + 1))).toEqual(['1.WEBM', '2', '10.mp4']);
  expect((await checkSamples(videos, ['videos_static'])).invalid).toEqual([
    { video: videos[2], missing: ['videos_static'] },
  ]);
  const family = { encodedSuffix: '', firstFrameFolder: undefined };
  const jobs = await jobsOfFolders(data, 'trumans', ['videos', 'static_videos'], 'prompts', family);
  expect(jobs.map(({ target }) => target.slice(data.length + 13))).toEqual([
    ...['1', '10', '2'].map((stem) => `video_latents/${stem}`),
    ...['1', '2'].map((stem) => `static_video_latents/${stem}`),
  ]);
  await mkdir(join(data, 'sceneA/act1/videos/10'));
  await expect(findVideos(data, 'trumans')).rejects.toThrow(
    /10\.mp4: has the name of 10, so the same files would belong to both; rename one/,
  );
});

test('clips are found in natural order, checked, and written with their counts', async () => {
  for (const stem of ['2', '10', '1']) {
    await mkdir(join(root, 'sceneA/act1/videos'), { recursive: true });
    await writeFile(join(root, `sceneA/act1/videos/${stem}.mp4`), '');
    for (const folder of ['video_latents', 'prompt_embeds_rewrite']) {
      if (stem === '10' && folder === 'video_latents') continue;
      await mkdir(join(root, 'sceneA/act1', folder), { recursive: true });
      await writeFile(join(root, `sceneA/act1/${folder}/${stem}.${stem === '1' ? 'pt' : 'safetensors'}`), '');
    }
  }
  const videos = await findVideos(root, 'trumans');
  expect(videos.map((path) => path.slice(root.length + 1))).toEqual(
    ['1', '2', '10'].map((stem) => `sceneA/act1/videos/${stem}.mp4`),
  );
  const { valid, invalid } = await checkSamples(videos, ['video_latents', 'prompt_embeds_rewrite']);
  expect(await relativeTo(root, valid)).toEqual(['sceneA/act1/videos/1.mp4', 'sceneA/act1/videos/2.mp4']);
  expect(invalid).toEqual([{ video: videos[2], missing: ['video_latents'] }]);
  const out = join(root, 'lists');
  await writeSplit(out, { train: ['b', 'a'], val: [], test: ['c'] }, invalid);
  expect(await readFile(join(out, 'train.txt'), 'utf8')).toBe('a\nb\n');
  expect(JSON.parse(await readFile(join(out, 'split_metadata.json'), 'utf8'))).toEqual({
    ...{ total_videos: 3, train_videos: 2, val_videos: 0, test_videos: 1 },
  });
  expect(JSON.parse(await readFile(join(out, 'invalid_samples.json'), 'utf8'))).toEqual(invalid);
});
