import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from '@dwm/core-tensor/testing';
import { frameAt, readVideo, writeVideo } from '@dwm/media/node';
import {
  fromAxisAngle,
  fromFieldOfView,
  placedCamera,
  readTransforms,
  type Trajectory,
  writeTransforms,
} from '@dwm/renderer';
import { Command } from 'commander';
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { afterAll, expect, test, vi } from 'vitest';
import { addDataset } from '../commands/dataset.ts';
import { addPrepare } from '../commands/prepare.ts';
import { addTrajectory } from '../commands/trajectory.ts';
import { LerobotDataset } from './dataset.ts';
import { episodeTrajectory } from './hands.ts';
import { lerobotV2, lerobotV3, TASKS } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'dwm-lerobot-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);

/** Frames of one grey each, brighter by `step` from one to the next. */
const film = (frames: number, fps: number, first = 20, step = 20) => ({
  ...{ frames, fps, width: 32, height: 16 },
  data: Uint8Array.from(
    { length: frames * 32 * 16 * 3 },
    (_, i) => first + step * Math.floor(i / (32 * 16 * 3)),
  ),
});

async function run(add: (program: Command) => void, ...args: string[]): Promise<string> {
  const program = new Command().exitOverride().option('--json');
  add(program);
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockReturnValue(true),
  );
  try {
    await program.parseAsync(['node', 'dwm', '--json', ...args]);
    return spies.flatMap(({ mock }) => mock.calls.map(([text]) => String(text))).join('');
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

const random = seeded(12);
const pose = () => [...[0, 0, 0].map(random), ...fromAxisAngle([random(), random(), 1])];
const moves = (frames: number): Trajectory => ({
  fps: 10,
  frames: Array.from({ length: frames }, (_, i) => ({
    seconds: i / 10,
    intrinsics: fromFieldOfView(32, 16, 1),
    camera: placedCamera('opengl', [0, 1, i], [0, 0, 0, 1]),
    hands: {
      left: i === 1 ? null : { joints: Float64Array.from(Array.from({ length: 25 }, pose).flat()) },
      right: null,
    },
  })),
});

/** A folder of samples: two clips of 3 and 4 frames. */
async function samples(): Promise<string> {
  const root = at('samples');
  const names = ['a', 'b'];
  for (const [i, name] of names.entries()) {
    for (const part of ['videos', 'videos_static', 'videos_hands'])
      await writeVideo(join(root, part, `${name}.mp4`), film(3 + i, 10));
    await writeFile(join(root, `${name}_trajectory.json`), writeTransforms(moves(3 + i)));
  }
  await writeFile(join(root, 'list.txt'), names.map((name) => `videos/${name}.mp4\n`).join(''));
  return root;
}

async function table(path: string) {
  const bytes = await readFile(path);
  const file: AsyncBuffer = {
    byteLength: bytes.length,
    slice: (from, to) => Uint8Array.from(bytes.subarray(from, to)).buffer,
  };
  return { rows: await parquetReadObjects({ file }), metadata: await parquetMetadataAsync(file) };
}

test('a folder of samples becomes a data set of v3.0, field by field, and comes back', async () => {
  const root = await samples();
  await run(
    addDataset,
    'dataset',
    'export',
    '--data-root',
    root,
    '--dataset-file',
    'list.txt',
    '--out',
    at('out'),
  );
  const json = async (name: string) => JSON.parse(await readFile(at('out/meta', name), 'utf8'));
  const info = await json('info.json');
  const { features, ...rest } = info;
  expect(rest).toEqual({
    ...{ codebase_version: 'v3.0', robot_type: 'human_hands', fps: 10, chunks_size: 1000 },
    ...{ total_episodes: 2, total_frames: 7, total_tasks: 1, splits: { train: '0:2' } },
    ...{ data_files_size_in_mb: 100, video_files_size_in_mb: 500 },
    data_path: 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
    video_path: 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
  });
  const cameras = ['interaction', 'static', 'hands'].map((name) => `observation.images.${name}`);
  expect(Object.keys(features)).toEqual([
    ...cameras,
    ...['observation.state', 'action', 'observation.camera'],
    ...['timestamp', 'frame_index', 'episode_index', 'index', 'task_index'],
  ]);
  expect(features[cameras[0]]).toMatchObject({
    ...{ dtype: 'video', shape: [16, 32, 3], names: ['height', 'width', 'channels'] },
    info: { 'video.codec': 'h264', 'video.fps': 10, 'video.pix_fmt': 'yuv420p' },
  });
  expect(features['observation.state'].shape).toEqual([features['observation.state'].names.length]);

  const { rows: episodes } = await table(at('out/meta/episodes/chunk-000/file-000.parquet'));
  expect(episodes[1]).toMatchObject({
    ...{ episode_index: 1n, tasks: [''], length: 4n, dataset_from_index: 3n, dataset_to_index: 7n },
    ...{ 'data/chunk_index': 0n, 'data/file_index': 1n, 'meta/episodes/file_index': 0n },
    [`videos/${cameras[1]}/file_index`]: 1n,
    [`videos/${cameras[1]}/from_timestamp`]: 0,
    [`videos/${cameras[1]}/to_timestamp`]: 0.4,
    'stats/index/mean': [4.5],
    'stats/index/count': [4n],
  });
  // Greys of 20 to 80, as the encoder leaves them.
  const [[[darkest]]] = episodes[1][`stats/${cameras[0]}/min`];
  expect(darkest * 255).toBeGreaterThan(15);
  expect(darkest * 255).toBeLessThan(25);

  const { rows } = await table(at('out/data/chunk-000/file-001.parquet'));
  expect(rows.map(({ index, frame_index, episode_index }) => [index, frame_index, episode_index])).toEqual(
    [3n, 4n, 5n, 6n].map((index, i) => [index, BigInt(i), 1n]),
  );
  expect(rows[2].timestamp).toBeCloseTo(0.2, 6);
  expect(rows.map((row) => row.action)).toEqual([1, 2, 3, 3].map((i) => rows[i]['observation.state']));

  // pandas takes the words of the tasks for its index.
  const tasks = await table(at('out/meta/tasks.parquet'));
  expect(tasks.rows).toEqual([{ task_index: 0n, task: '' }]);
  const pandas = tasks.metadata.key_value_metadata?.find(({ key }) => key === 'pandas')?.value;
  expect(JSON.parse(pandas!).index_columns).toEqual(['task']);

  const stats = await json('stats.json');
  expect(stats.index).toEqual({ min: [0], max: [6], mean: [3], std: [expect.closeTo(2, 9)], count: [7] });
  expect(stats[cameras[2]].mean.map(([[value]]: number[][]) => typeof value)).toEqual(
    Array(3).fill('number'),
  );

  const imported = ['trajectory', 'import', at('out'), '--episode', '1', '--out', at('T.json')];
  await expect(run(addTrajectory, ...imported, '--format', 'webxr')).rejects.toThrow(
    'is a LeRobot data set, not webxr; leave --format out',
  );
  await run(addTrajectory, ...imported);
  const back = readTransforms({ name: 'T', text: await readFile(at('T.json'), 'utf8') });
  const path = join(root, 'b_trajectory.json');
  const { frames } = readTransforms({ name: path, text: await readFile(path, 'utf8') });
  expect(back.frames.map(({ hands }) => hands.left !== null)).toEqual([true, false, true, true]);
  for (const [i, frame] of frames.entries()) {
    back.frames[i].hands.left?.joints?.forEach((value, k) => {
      expect(value).toBeCloseTo(frame.hands.left!.joints![k], 6);
    });
    expect(back.frames[i].camera.matrix[11]).toBeCloseTo(frame.camera.matrix[11], 6);
  }
});

test('clips that do not go together are named, and a data set is not written over', async () => {
  await writeVideo(at('odd/videos/a.mp4'), film(3, 10));
  await writeVideo(at('odd/videos/b.mp4'), film(3, 8));
  await writeFile(at('odd/list.txt'), 'videos/a.mp4\nvideos/b.mp4\n');
  const args = ['--data-root', at('odd'), '--dataset-file', 'list.txt', '--out'];
  await expect(run(addDataset, 'dataset', 'export', ...args, at('odd-out'))).rejects.toThrow(
    /b\.mp4: is 32x16 at 8 frames a second, expected 32x16 at 10 frames a second, as the first clip/,
  );
  await lerobotV2(at('there'));
  await expect(run(addDataset, 'dataset', 'export', ...args, at('there'))).rejects.toThrow(
    'is a data set already; name another folder',
  );
});

test.each([2, 3] as const)(
  'an episode of v%i: its part of the video, its task, its rows',
  async (version) => {
    const root = at(`v${version}`);
    if (version === 2) {
      const paths = await lerobotV2(root);
      await Promise.all(paths.map((path, i) => writeVideo(path, film(3 + i, 10, 20 + 60 * i))));
    } else await writeVideo(await lerobotV3(root), film(7, 10));
    const data = await LerobotDataset.open(root);
    expect([data.fps, data.cameras]).toEqual([10, ['observation.images.top']]);
    const episode = await data.episode(1);
    expect([episode.frames, episode.task]).toEqual([4, TASKS[1]]);
    expect(await episode.rows(['observation.state'])).toEqual(
      [0, 1, 2, 3].map((i) => ({ 'observation.state': [1, i] })),
    );
    await expect(data.episode(2)).rejects.toThrow(/episode: 2 is not in .*, which has 0 to 1/);
    await expect(episodeTrajectory(data, episode)).rejects.toThrow(
      'dwm prepare --from finds hands in its video',
    );

    await writeVideo(at('black.mp4'), { ...film(4, 10), data: new Uint8Array(4 * 32 * 16 * 3) });
    const size = [
      '--width',
      '32',
      '--height',
      '16',
      '--frames',
      '4',
      '--fps',
      '10',
      '--out',
      at(`prepared-${version}`),
    ];
    await run(addPrepare, 'prepare', '--from', root, '--episode', '1', '--hands', at('black.mp4'), ...size);
    const clip = await readVideo(at(`prepared-${version}`, 'videos/episode_000001.mp4'));
    const greys = Array.from({ length: 4 }, (_, i) => frameAt(clip, i).data[0]);
    for (const [i, grey] of greys.entries()) expect(Math.abs(grey - (80 + 20 * i))).toBeLessThan(6);
    expect(await readFile(at(`prepared-${version}`, 'prompts_rewrite/episode_000001.txt'), 'utf8')).toBe(
      `${TASKS[1]}\n`,
    );
  },
);

test.each<[string, (info: Record<string, unknown>) => void, RegExp]>([
  [
    'an old version',
    (info) => Object.assign(info, { codebase_version: 'v1.6' }),
    /codebase_version: "v1\.6", expected v2\.0/,
  ],
  [
    'a path that leads out',
    (info) => Object.assign(info, { data_path: '../../x' }),
    /data_path "\.\.\/\.\.\/x" leads out by "\.\."; expected a relative path below/,
  ],
  [
    'a path of other parts',
    (info) => Object.assign(info, { data_path: '{name}' }),
    /data_path: .* made of chunk_index/,
  ],
  ['no features', (info) => delete info.features, /features: missing, expected an object/],
])('%s is refused in one line', async (_, damage, message) => {
  const root = at('damaged');
  await lerobotV3(root);
  const path = join(root, 'meta/info.json');
  const info = JSON.parse(await readFile(path, 'utf8'));
  damage(info);
  await writeFile(path, JSON.stringify(info));
  const read = async () => (await (await LerobotDataset.open(root)).episode(0)).rows(['timestamp']);
  await expect(read()).rejects.toThrow(message);
});

test('a link leads no further than the data set', async () => {
  const root = at('linked');
  await lerobotV3(root);
  const file = join(root, 'data/chunk-000/file-000.parquet');
  await rename(file, at('elsewhere.parquet'));
  await symlink(at('elsewhere.parquet'), file);
  const { rows } = await (await LerobotDataset.open(root)).episode(0);
  await expect(rows(['timestamp'])).rejects.toThrow(/data_path .* links to .*elsewhere\.parquet, outside/);
});
