/** Miniatures of LeRobot's data sets, as published: two episodes, of 3 and 4 frames. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeTable } from './write-table.ts';

const CAMERA = 'observation.images.top';
const LENGTHS = [3, 4];
export const TASKS = ['Pick the cube.', 'Put it down.'];

const INFO = {
  ...{ robot_type: 'so100', total_episodes: 2, total_frames: 7, total_tasks: 2, chunks_size: 1000, fps: 10 },
  splits: { train: '0:2' },
  features: {
    [CAMERA]: { dtype: 'video', shape: [16, 32, 3], names: ['height', 'width', 'channels'] },
    'observation.state': { dtype: 'float32', shape: [2], names: ['shoulder', 'gripper'] },
    timestamp: { dtype: 'float32', shape: [1], names: null },
    episode_index: { dtype: 'int64', shape: [1], names: null },
  },
};

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

/** The frames of some episodes as one file. */
function writeData(path: string, episodes: readonly number[]): Promise<void> {
  const frames = episodes.flatMap((episode) =>
    Array.from({ length: LENGTHS[episode] }, (_, i) => ({ episode, i })),
  );
  return writeTable(path, [
    {
      name: 'observation.state',
      type: 'float32',
      lists: 1,
      data: frames.map(({ episode, i }) => [episode, i]),
    },
    { name: 'timestamp', type: 'float32', data: frames.map(({ i }) => Math.fround(i / 10)) },
    { name: 'episode_index', type: 'int64', data: frames.map(({ episode }) => episode) },
  ]);
}

/** v2.1: a file an episode, and a line. @returns where their videos go. */
export async function lerobotV2(folder: string): Promise<string[]> {
  const name = (episode: number) => `episode_00000${episode}`;
  const info = {
    codebase_version: 'v2.1',
    ...INFO,
    ...{ total_videos: 2, total_chunks: 1 },
    data_path: 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
    video_path: 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4',
  };
  await put(join(folder, 'meta/info.json'), JSON.stringify(info));
  const lines = LENGTHS.map((length, episode_index) =>
    JSON.stringify({ episode_index, tasks: [TASKS[episode_index]], length }),
  );
  await put(join(folder, 'meta/episodes.jsonl'), `${lines.join('\n')}\n`);
  for (const episode of [0, 1])
    await writeData(join(folder, `data/chunk-000/${name(episode)}.parquet`), [episode]);
  return [0, 1].map((episode) => join(folder, `videos/chunk-000/${CAMERA}/${name(episode)}.mp4`));
}

/** v3.0: both episodes in each file. @returns where their video goes. */
export async function lerobotV3(folder: string): Promise<string> {
  const info = {
    codebase_version: 'v3.0',
    ...INFO,
    ...{ data_files_size_in_mb: 100, video_files_size_in_mb: 500 },
    data_path: 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
    video_path: 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
  };
  await put(join(folder, 'meta/info.json'), JSON.stringify(info));
  await writeData(join(folder, 'data/chunk-000/file-000.parquet'), [0, 1]);
  const zeros = [0, 0];
  await writeTable(join(folder, 'meta/episodes/chunk-000/file-000.parquet'), [
    { name: 'episode_index', type: 'int64', data: [0, 1] },
    { name: 'tasks', type: 'string', lists: 1, data: TASKS.map((task) => [task]) },
    { name: 'length', type: 'int64', data: LENGTHS },
    ...['chunk_index', 'file_index'].flatMap((part) =>
      ['data', `videos/${CAMERA}`].map((of) => ({
        name: `${of}/${part}`,
        type: 'int64' as const,
        data: zeros,
      })),
    ),
    { name: `videos/${CAMERA}/from_timestamp`, type: 'float64', data: [0, 0.3] },
    { name: `videos/${CAMERA}/to_timestamp`, type: 'float64', data: [0.3, 0.7] },
  ]);
  return join(folder, `videos/${CAMERA}/chunk-000/file-000.mp4`);
}
