import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { openNodeDevice, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseExperiment } from '../../training/config.ts';
import { prepareTrainingClip, trainingFrames } from '../../training/data/training-clip.ts';
import { checkpointName, listCheckpoints } from './checkpoint.ts';
import { readDataset } from './dataset.ts';
import { encodeDataset } from './encode.ts';
import { readMoments } from './encoded.ts';
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
    /line 1 .* links to .*outside.*; copy the file into the data root/,
  );
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
    for (const [i, value] of want.entries()) expect(got[c * 8 + i]).toBeCloseTo(value, 5);
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
  await write([32, 3, 4, 1], values);
  await expect(readMoments(file, size)).rejects.toThrow('expected latents [32,3,2,2] or [3,32,2,2]');
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
  const devices: Device[] = [];
  const openDevice = async () => {
    devices.push(await openNodeDevice());
    return devices[devices.length - 1];
  };
  const encode = () => encodeDataset({ config: experiment, openDevice, readClip });
  expect(await encode()).toEqual({ written: 3, total: 3 });
  expect(await encode()).toEqual({ written: 0, total: 3 });
  await writeFile(sample.hand, 'other bytes');
  expect(await encode()).toEqual({ written: 1, total: 3 });
  expect(decoded).toBe(4);
  const first = (await readSafetensors(`${sample.latents.video}.safetensors`)).get('encoded')!;
  expect(first.shape).toEqual([32, 2, 4, 6]);
}, 60_000);

test('a folder without whole checkpoints has none', async () => {
  await mkdir(join(folder, 'out', checkpointName(3)), { recursive: true });
  await writeFile(join(folder, 'out', checkpointName(3), 'state.json'), '{"version": 1, "step": 3');
  await mkdir(join(folder, 'out', `${checkpointName(4)}.tmp`), { recursive: true });
  expect(await listCheckpoints(join(folder, 'out'))).toEqual([]);
});
