import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { readTorchFile } from '@dwm/core-tensor/files';
import { openNodeDevice, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseExperiment } from '../../training/config.ts';
import { prepareTrainingClip, scriptFrames, trainingFrames } from '../../training/data/training-clip.ts';
import { checkpointName, listCheckpoints } from './checkpoint.ts';
import { checkFiles, readDataset, readDatasets } from './dataset.ts';
import { encodeFiles, writeFailures } from './encode.ts';
import { type EncodeJob, jobsOfFolders, jobsOfSamples, MODALITIES, shardJobs } from './encode-jobs.ts';
import { readMoments } from './encoded.ts';
import { readFirstLine } from './encoder.ts';
import { TINY_MODEL } from './testing.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dwm-data-'));
  await mkdir(join(folder, 'root/s/videos'), { recursive: true });
  await mkdir(join(folder, 'outside/videos'), { recursive: true });
  await writeFile(join(folder, 'outside/videos/x.mp4'), 'x');
  await symlink(join(folder, 'outside'), join(folder, 'root/link'));
});
afterAll(() => rm(folder, { recursive: true }));

const config = (list: string) =>
  parseExperiment(
    {
      experiment: { output_dir: join(folder, 'out') },
      model: { base_model_name_or_path: TINY_MODEL },
      data: {
        data_root: join(folder, 'root'),
        dataset_file: [{ path: join(folder, list), weight: 2 }],
        height_buckets: 32,
        width_buckets: 48,
        frame_buckets: 5,
      },
    },
    'x.yaml',
  );

test.each([
  ['../outside/videos/x.mp4', 'leads out by ".."'],
  ['/etc/videos/passwd.mp4', 'is an absolute path'],
  ['s/videos/../../../outside/videos/x.mp4', 'leads out by ".."'],
  ['s/videos/x\0.mp4', 'has a control character'],
  ['link/videos/x.mp4', 'links to'],
  ['s/x.mp4', 'is not in a folder videos/'],
])('a list with %s is refused', async (line, problem) => {
  await writeFile(join(folder, 'bad.txt'), `# comment\n\ns/videos/a.mp4\n${line}\n`);
  const { data } = config('bad.txt');
  await expect(readDataset(join(folder, 'bad.txt'), data)).rejects.toThrow(`line 4 ${JSON.stringify(line)} `);
  await expect(readDataset(join(folder, 'bad.txt'), data)).rejects.toThrow(problem);
});

test.each([
  'videos',
  'videos_static',
  'videos_hands',
  'prompts_rewrite',
  'video_latents',
  'static_video_latents',
  'hand_video_latents',
  'prompt_embeds_rewrite',
])('a clip whose folder %s links out of the data root is refused', async (which) => {
  const sample = join(folder, 'root', `linked-${which}`);
  await mkdir(sample);
  await symlink(join(folder, 'outside'), join(sample, which));
  await writeFile(join(folder, 'linked.txt'), `linked-${which}/videos/x.mp4\n`);
  const { data } = config('linked.txt');
  await expect(readDataset(join(folder, 'linked.txt'), data)).rejects.toThrow(
    /line 1 .* links to .*outside.*; copy the file into the data root, or set `followLinks`/,
  );
  const followed = await readDataset(join(folder, 'linked.txt'), { ...data, follow_links: true });
  expect(followed.map(({ name }) => name)).toEqual([`linked-${which}/videos/x.mp4`]);
});

test.each(['a.safetensors', 'a.pt'])(
  'latents %s that link out of the data root are refused',
  async (name) => {
    const latents = join(folder, 'root', `file-${name}`, 'hand_video_latents');
    await mkdir(latents, { recursive: true });
    await symlink(join(folder, 'outside/videos/x.mp4'), join(latents, name));
    await writeFile(join(folder, 'linked.txt'), `file-${name}/videos/a.mp4\n`);
    const { data } = config('linked.txt');
    await expect(readDataset(join(folder, 'linked.txt'), data)).rejects.toThrow('links to');
  },
);

test('a list may have a folder of its own', async () => {
  await writeFile(join(folder, 'own.txt'), 's/videos/a.mp4\n');
  const { data } = config('own.txt');
  const [sample] = await readDataset(join(folder, 'own.txt'), data, join(folder, 'outside'));
  expect(sample.hand).toBe(join(folder, 'outside', 's/videos_hands/a.mp4'));
  const missing = readDataset(join(folder, 'own.txt'), data, join(folder, 'missing'));
  await expect(missing).rejects.toThrow('missing: no such folder');
});

test('clips match by their lines, in several lists; lists without one in common are refused', async () => {
  const lines = (...stems: string[]) => stems.map((stem) => `s/videos/${stem}.mp4\n`).join('');
  await writeFile(join(folder, 'pulls.txt'), lines('a', 'b', 'c'));
  await writeFile(join(folder, 'misses.txt'), lines('b', 'a', 'x'));
  await writeFile(join(folder, 'others.txt'), lines('a'));
  const { data } = config('pulls.txt');
  const list = (name: string) => ({ path: join(folder, name), root: join(folder, 'outside') });
  const withMatches = (...names: string[]) => ({
    ...data,
    dataset_file: [{ ...data.dataset_file[0], matched: names.map(list) }],
  });
  const { datasets, matched } = await readDatasets(withMatches('misses.txt', 'others.txt'));
  expect(datasets[0].map((sample) => matched.get(sample)?.map(({ video }) => video))).toEqual([
    [join(folder, 'outside/s/videos/a.mp4'), join(folder, 'outside/s/videos/a.mp4')],
    [join(folder, 'outside/s/videos/b.mp4')],
    undefined,
  ]);
  await writeFile(join(folder, 'strange.txt'), lines('y'));
  await expect(readDatasets(withMatches('strange.txt'))).rejects.toThrow(
    /strange\.txt: has no clip of .*pulls\.txt; clips match by their lines/,
  );
});

test('a clip may be a folder of frames, a caption may not', async () => {
  const path = join(folder, 'root/s/videos');
  await writeFile(join(folder, 'one.txt'), 's/videos/x.mp4\n');
  const [sample] = await readDataset(join(folder, 'one.txt'), config('one.txt').data);
  await checkFiles([sample], () => ({ videos: [path] }), 'x');
  await expect(checkFiles([sample], () => ({ files: [path] }), 'add it')).rejects.toThrow(
    's/videos: no such file; add it',
  );
});

test('frames and pixels as the original loads them', async () => {
  expect(trainingFrames(150, 49)).toEqual(Array.from({ length: 49 }, (_, i) => 3 * i));
  expect(trainingFrames(97, 49)).toHaveLength(49);
  expect(trainingFrames(30, 49)).toHaveLength(30);
  // Half the size in space, twice the frames: worked out by hand for align_corners=false.
  const device = await openNodeDevice();
  const data = Uint8Array.from({ length: 2 * 2 * 4 * 3 }, (_, i) => 10 * Math.floor(i / 3));
  const got = await prepareTrainingClip(
    device,
    { data, frames: 2, height: 2, width: 4 },
    { frames: 4, height: 1, width: 2 },
  );
  const pixel = (f: number, x: number) => 10 * (8 * f + 2 * x + 2.5);
  const [early, late] = [0, 1];
  const mix = (share: number, x: number) => (1 - share) * pixel(early, x) + share * pixel(late, x);
  const want = [0, 0.25, 0.75, 1].flatMap((share) => [0, 1].map((x) => mix(share, x) / 127.5 - 1));
  for (let c = 0; c < 3; c++)
    for (const [i, value] of want.entries()) expect(got[3 * i + c]).toBeCloseTo(value, 5);
  device.destroy();
});

test('latents in either order of axes, with or without a batch; others are refused', async () => {
  const size = { channels: 16, frames: 3, height: 2, width: 2 };
  const values = Float32Array.from({ length: 32 * 12 }, (_, i) => i);
  const turned = new Float32Array(values.length);
  for (let c = 0; c < 32; c++)
    for (let f = 0; f < 3; f++)
      turned.set(values.subarray((c * 3 + f) * 4, (c * 3 + f + 1) * 4), (f * 32 + c) * 4);
  const file = join(folder, 'l.safetensors');
  const write = (shape: number[], data: Float32Array) =>
    saveSafetensors(file, new Map([['latents', { dtype: 'F32' as const, shape, data }]]));
  for (const [shape, data] of [
    [[32, 3, 2, 2], values],
    [[1, 32, 3, 2, 2], values],
    [[3, 32, 2, 2], turned],
    [[1, 3, 32, 2, 2], turned],
  ] as const) {
    await write([...shape], data);
    expect(await readMoments(file, size)).toEqual(values);
  }
  await write([2, 3, 8, 8], values);
  await expect(readMoments(file, size)).rejects.toThrow('expected latents [32,3,2,2] or [3,32,2,2]');
});

test('latents of another size are stretched, trilinear, as torch.nn.functional.interpolate does', async () => {
  const file = join(folder, 'stretch.safetensors');
  // Frames first: channel c of frame f is 100 c + 10 f + x along the width.
  const data = Float32Array.from({ length: 2 * 32 * 3 }, (_, i) => {
    const [f, c, x] = [Math.floor(i / 96), Math.floor(i / 3) % 32, i % 3];
    return 100 * c + 10 * f + x;
  });
  await saveSafetensors(file, new Map([['l', { dtype: 'F32' as const, shape: [2, 32, 1, 3], data }]]));
  const told: unknown[] = [];
  const got = await readMoments(file, { channels: 16, frames: 3, height: 2, width: 2 }, (...of) =>
    told.push(of),
  );
  expect(told).toEqual([[file, [32, 2, 1, 3], [32, 3, 2, 2]]]);
  // Frames at 0, 0.5, 1 (from -1/6, 1/2, 7/6, kept inside); columns at 0.25 and 1.75.
  const want = [0, 5, 10].flatMap((frame) => [0.25, 1.75, 0.25, 1.75].map((x) => 300 + frame + x));
  for (const [i, value] of want.entries()) expect(got[3 * 12 + i]).toBeCloseTo(value, 4);
  expect(got).toHaveLength(32 * 12);
});

test('encoding goes on where it stopped: only new and changed clips are encoded', async () => {
  await writeFile(join(folder, 'good.txt'), 's/videos/a.mp4\n');
  const experiment = config('good.txt');
  const [sample] = await readDataset(join(folder, 'good.txt'), experiment.data);
  for (const path of [sample.video, sample.static, sample.hand]) {
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, `the bytes of ${path}`);
  }
  let decoded = 0;
  const readClip = async (path: string) => {
    decoded++;
    const data = Uint8Array.from({ length: 5 * 32 * 48 * 3 }, (_, i) => (i * path.length) % 251);
    return { data, frames: 5, height: 32, width: 48 };
  };
  const jobs = jobsOfSamples([sample], ['videos', 'static_videos', 'hand_videos']);
  const encode = (options: { format?: 'pt'; overwrite?: boolean } = {}) =>
    encodeFiles({
      ...{ jobs, roots: [folder], model: TINY_MODEL, frames: 5, format: 'safetensors', ...options },
      openDevice: () => openNodeDevice(),
      readClip,
    });
  expect(await encode()).toEqual({ written: 3, total: 3, failures: [] });
  expect(await encode()).toEqual({ written: 0, total: 3, failures: [] });
  await writeFile(sample.hand, 'other bytes');
  expect(await encode()).toEqual({ written: 1, total: 3, failures: [] });
  expect(decoded).toBe(4);
  const first = (await readSafetensors(`${sample.latents.video}.safetensors`)).get('encoded')!;
  expect(first.shape).toEqual([32, 2, 4, 6]);

  // The original's files: the same numbers, left alone whatever they were made from, one bad clip no reason to stop.
  await rm(sample.static);
  const { failures, ...rest } = await encode({ format: 'pt' });
  expect(rest).toEqual({ written: 2, total: 3 });
  expect(failures).toEqual([
    { modality: 'static_videos', source: sample.static, reason: expect.stringContaining('no such file') },
  ]);
  const [list] = await writeFailures(failures, (kind) => join(folder, `errors/${kind}.json`));
  expect(JSON.parse(await readFile(list, 'utf8'))).toEqual([
    { src: sample.static, reason: failures[0].reason },
  ]);
  const file = `${sample.latents.video}.pt`;
  const torch = await readTorchFile({ name: file, bytes: await readFile(file) });
  expect(torch.get('')).toEqual(first);
  expect(await encode({ format: 'pt' })).toMatchObject({ written: 0 });
  expect(await encode({ format: 'pt', overwrite: true })).toMatchObject({ written: 2 });
}, 120_000);

test('of a caption its first line is encoded, an empty one too; without a caption nothing is', async () => {
  const file = join(folder, 'caption.txt');
  for (const [text, line] of [
    [' a hand \r\nopens', 'a hand'],
    ['\nsecond', ''],
    ['', ''],
  ]) {
    await writeFile(file, text);
    expect(await readFirstLine(file)).toBe(line);
  }
  await expect(readFirstLine(join(folder, 'none.txt'))).rejects.toThrow(
    'none.txt: no such caption; write one',
  );
});

test('frames as the encode script takes them', () => {
  // torch.linspace(0, n - 1, m).round()
  expect(scriptFrames(7, 5)).toEqual([0, 2, 3, 4, 6]);
  expect(scriptFrames(60, 49).slice(0, 12)).toEqual([0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14]);
  expect(scriptFrames(150, 49).slice(-6)).toEqual([133, 137, 140, 143, 146, 149]);
  expect(scriptFrames(49, 49)).toEqual(Array.from({ length: 49 }, (_, i) => i));
  expect(scriptFrames(1, 5)).toEqual([0, 0, 0, 0, 0]);
  expect(scriptFrames(9, 1)).toEqual([0]);
});

const PLAIN = { encodedSuffix: '' };

test('what there is to encode: the layouts of both datasets, kinds one after the other, dealt out by kind', async () => {
  const root = join(folder, 'walk');
  for (const path of [
    ...['sceneB/act1/videos/00001.mp4', 'sceneA/act2/videos/00002.mp4', 'sceneA/act2/videos/00010.mp4'],
    ...['sceneA/act2/videos_hands/00002.mp4', 'sceneA/act2/said/00002.txt', 'DoubleHand/x/videos/7.mp4'],
  ]) {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), '');
  }
  const short = ({ source, target }: EncodeJob) => `${relative(root, source)} ${relative(root, target)}`;
  const jobs = await jobsOfFolders(root, 'trumans', MODALITIES, 'said', PLAIN);
  expect(jobs.map(short)).toEqual([
    'DoubleHand/x/videos/7.mp4 DoubleHand/x/video_latents/7',
    'sceneA/act2/videos/00002.mp4 sceneA/act2/video_latents/00002',
    'sceneA/act2/videos/00010.mp4 sceneA/act2/video_latents/00010',
    'sceneB/act1/videos/00001.mp4 sceneB/act1/video_latents/00001',
    'sceneA/act2/videos_hands/00002.mp4 sceneA/act2/hand_video_latents/00002',
    'sceneA/act2/said/00002.txt sceneA/act2/prompt_embeds_said/00002',
  ]);
  expect((await jobsOfFolders(root, 'taste_rob', ['videos'], 'x', PLAIN)).map(short)).toEqual([
    'DoubleHand/x/videos/7.mp4 DoubleHand/x/video_latents/7',
  ]);
  expect(shardJobs(jobs, 1, 2).map(short)).toEqual([jobs[1], jobs[3]].map(short));
  expect(shardJobs(jobs, 0, 2)).toHaveLength(4);
});

test.skipIf(process.platform === 'win32').each([
  ['a clip', 'videos/1.mp4'],
  ['a folder of clips', 'videos'],
  ['the folder to write to', 'video_latents'],
])('%s that a link leads out of the data root is refused, or followed where asked', async (_, linked) => {
  const place = await mkdtemp(join(folder, 'links-'));
  const sample = join(place, 'root/scene/action');
  await mkdir(join(place, 'elsewhere'));
  await writeFile(join(place, 'elsewhere/1.mp4'), '');
  if (linked !== 'videos') await mkdir(join(sample, 'videos'), { recursive: true });
  else await mkdir(sample, { recursive: true });
  if (linked === 'video_latents') await writeFile(join(sample, 'videos/1.mp4'), '');
  const target = linked.endsWith('.mp4') ? 'elsewhere/1.mp4' : 'elsewhere';
  await symlink(join(place, target), join(sample, linked));
  const walk = (follow?: boolean) =>
    jobsOfFolders(join(place, 'root'), 'trumans', ['videos'], 'prompts', PLAIN, follow);
  await expect(walk()).rejects.toThrow(
    /file "scene\/action\/vid.*" links to .*elsewhere.*, outside .*root; copy what it links to, or set `followLinks`/,
  );
  expect(await walk(true)).toHaveLength(1);
});

test('a folder without whole checkpoints has none', async () => {
  await mkdir(join(folder, 'out', checkpointName(3)), { recursive: true });
  await writeFile(join(folder, 'out', checkpointName(3), 'state.json'), '{"version": 1, "step": 3');
  await mkdir(join(folder, 'out', `${checkpointName(4)}.tmp`), { recursive: true });
  expect(await listCheckpoints(join(folder, 'out'))).toEqual([]);
});
