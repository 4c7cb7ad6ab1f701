/**
 * Clips as a data set of LeRobot v3.0, each an episode with files of its own: videos are copied, not encoded again.
 * `info.json` comes last, so what was broken off is no data set.
 */
import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { decodeFrames, type VideoInfo, videoInfo } from '@dwm/media/node';
import type { Trajectory } from '@dwm/renderer';
import { handFeatures } from './hands.ts';
import { mergeStats, RunningStats, type Stats } from './stats.ts';
import { type TableColumn, writeTable } from './write-table.ts';

/** A clip, and what goes with it. */
export interface ClipToExport {
  /** Videos by name: `interaction`, `static`, `hands`. */
  readonly videos: Readonly<Record<string, string>>;
  readonly task: string;
  /** A frame for each of the videos'. */
  readonly trajectory?: { readonly file: string; read(): Promise<Trajectory> };
}

/** Files of a folder, and what LeRobot's own files hold at most: the loader takes any. */
const CHUNK = 1000;
const SIZES = { data_files_size_in_mb: 100, video_files_size_in_mb: 500 };
/** Rows of a file of `meta/episodes`. */
const EPISODES_A_FILE = 100;
/** How far LeRobot lets a frame's time be off, seconds. */
const TOLERANCE = 1e-4;

/** Features that every data set has, besides its own. */
const DEFAULTS = {
  timestamp: 'float32',
  frame_index: 'int64',
  episode_index: 'int64',
  index: 'int64',
  task_index: 'int64',
} as const;

/** By WebCodecs' names. */
const CODECS: readonly [RegExp, string][] = [
  [/^avc/, 'h264'],
  [/^(hev|hvc)/, 'hevc'],
  [/^av01/, 'av1'],
  [/^vp0?9/, 'vp9'],
  [/^vp0?8/, 'vp8'],
];

const place = (index: number) => ({ chunk: Math.floor(index / CHUNK), file: index % CHUNK });
const stem = ({ chunk, file }: { readonly chunk: number; readonly file: number }) =>
  `chunk-${String(chunk).padStart(3, '0')}/file-${String(file).padStart(3, '0')}`;
const cameraKey = (name: string) => `observation.images.${name}`;

interface EpisodeRow {
  readonly index: number;
  readonly frames: number;
  readonly from: number;
  readonly task: string;
  readonly seconds: number;
  readonly stats: ReadonlyMap<string, Stats>;
}

/**
 * @param clips all of one size and rate, and with the same videos; all with a trajectory, or none.
 * @returns how many frames there are.
 * @throws InvalidFileError naming the clip that does not go with the others.
 */
export async function exportLerobot(
  clips: readonly ClipToExport[],
  out: string,
  onClip: (done: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const names = Object.keys(clips[0].videos);
  const tasks = [...new Set(clips.map(({ task }) => task))];
  const totals = new Map<string, Stats>();
  let first: { readonly info: VideoInfo; readonly fps: number } | undefined;
  let features: Record<string, object> | undefined;
  let frames = 0;
  let rows: EpisodeRow[] = [];
  let files = 0;
  const flush = async () => {
    await writeTable(
      join(out, 'meta', 'episodes', `${stem(place(files))}.parquet`),
      episodeColumns(rows, names, place(files)),
    );
    files++;
    rows = [];
  };
  for (const [index, clip] of clips.entries()) {
    signal.throwIfAborted();
    const infos = await Promise.all(names.map((name) => evenVideo(clip.videos[name])));
    const [{ frames: length }] = infos;
    first ??= { info: infos[0], fps: wholeRate(clip.videos[names[0]], infos[0]) };
    for (const [i, name] of names.entries()) checkLike(clip.videos[name], infos[i], first.info, length);
    const hands = clip.trajectory ? handFeatures(await clip.trajectory.read(), clip.trajectory.file) : [];
    if (hands.length > 0 && hands[0].values.length !== length)
      throw new InvalidFileError(
        clip.trajectory!.file,
        `has ${hands[0].values.length} frames, expected ${length}, as its video`,
      );
    const counted = Array.from({ length }, (_, i) => i);
    const columns: TableColumn[] = [
      ...hands.map(({ key, values }) => ({ name: key, type: 'float32' as const, lists: 1, data: values })),
      { name: 'timestamp', type: 'float32', data: counted.map((i) => Math.fround(i / first!.fps)) },
      { name: 'frame_index', type: 'int64', data: counted },
      { name: 'episode_index', type: 'int64', data: counted.map(() => index) },
      { name: 'index', type: 'int64', data: counted.map((i) => frames + i) },
      { name: 'task_index', type: 'int64', data: counted.map(() => tasks.indexOf(clip.task)) },
    ];
    const at = stem(place(index));
    await writeTable(join(out, 'data', `${at}.parquet`), columns);
    const stats = new Map(columns.map(({ name, data }) => [name, statsOf(data)]));
    for (const name of names) {
      const path = join(out, 'videos', cameraKey(name), `${at}.mp4`);
      await mkdir(dirname(path), { recursive: true });
      await copyFile(clip.videos[name], path);
      stats.set(cameraKey(name), await pictureStats(clip.videos[name], length));
    }
    for (const [key, value] of stats)
      totals.set(key, totals.has(key) ? mergeStats(totals.get(key)!, value) : value);
    rows.push({ index, frames: length, from: frames, task: clip.task, seconds: length / first.fps, stats });
    frames += length;
    features ??= {
      ...Object.fromEntries(names.map((name, i) => [cameraKey(name), videoFeature(infos[i], first!.fps)])),
      ...Object.fromEntries(
        hands.map(({ key, names: parts }) => [
          key,
          { dtype: 'float32', shape: [parts.length], names: parts },
        ]),
      ),
      ...Object.fromEntries(
        Object.entries(DEFAULTS).map(([key, dtype]) => [key, { dtype, shape: [1], names: null }]),
      ),
    };
    if (rows.length === EPISODES_A_FILE) await flush();
    onClip(index + 1);
  }
  if (rows.length > 0) await flush();
  await writeTasks(join(out, 'meta', 'tasks.parquet'), tasks);
  const json = (value: unknown) => `${JSON.stringify(value, undefined, 4)}\n`;
  const shaped = [...totals].map(([key, stats]) => [key, shapedStats(key, stats)]);
  await writeFileAtomic(join(out, 'meta', 'stats.json'), json(Object.fromEntries(shaped)));
  const info = {
    ...{ codebase_version: 'v3.0', robot_type: 'human_hands' },
    ...{ total_episodes: clips.length, total_frames: frames, total_tasks: tasks.length },
    ...{ chunks_size: CHUNK, ...SIZES, fps: first!.fps, splits: { train: `0:${clips.length}` } },
    data_path: 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
    video_path: 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
    features,
  };
  await writeFileAtomic(join(out, 'meta', 'info.json'), json(info));
  return frames;
}

/** @throws InvalidFileError unless frame k is shown at k / fps: LeRobot finds frames by their times. */
async function evenVideo(path: string): Promise<VideoInfo> {
  const info = await videoInfo(path);
  if (!/\.mp4$/i.test(path))
    throw new InvalidFileError(path, 'is to be an .mp4; dwm prepare makes one of it');
  const wrong = info.timestamps.findIndex((time, i) => Math.abs(time - i / info.fps) > TOLERANCE);
  if (wrong >= 0)
    throw new InvalidFileError(
      path,
      `frame ${wrong} is at ${info.timestamps[wrong].toFixed(4)} s, expected ${(wrong / info.fps).toFixed(4)} s at ${info.fps} frames a second; dwm prepare makes an even clip of it`,
    );
  return info;
}

/** LeRobot's rates are whole numbers. */
function wholeRate(path: string, { fps }: VideoInfo): number {
  const rate = Math.round(fps);
  if (Math.abs(rate - fps) < 1e-3) return rate;
  throw new InvalidFileError(
    path,
    `has ${fps} frames a second, expected a whole number; dwm prepare --fps changes it`,
  );
}

function checkLike(path: string, info: VideoInfo, first: VideoInfo, frames: number): void {
  const words = ({ width, height, fps }: VideoInfo) => `${width}x${height} at ${fps} frames a second`;
  if (info.width !== first.width || info.height !== first.height || Math.abs(info.fps - first.fps) > 1e-3)
    throw new InvalidFileError(path, `is ${words(info)}, expected ${words(first)}, as the first clip`);
  if (info.frames !== frames)
    throw new InvalidFileError(
      path,
      `has ${info.frames} frames, expected ${frames}, as the clip's other videos`,
    );
}

const videoFeature = ({ width, height, codec }: VideoInfo, fps: number) => ({
  ...{ dtype: 'video', shape: [height, width, 3], names: ['height', 'width', 'channels'] },
  info: {
    ...{ 'video.height': height, 'video.width': width, 'video.fps': fps, 'video.channels': 3 },
    'video.codec': CODECS.find(([pattern]) => pattern.test(codec))?.[1] ?? codec,
    'video.is_depth_map': false,
    // These profiles of H.264 have 8 bits and halved chroma; of others it is not known.
    ...(/^avc[13]\.(42|4d|64)/i.test(codec) && { 'video.pix_fmt': 'yuv420p' }),
  },
});

function statsOf(data: readonly unknown[]): Stats {
  const listed = data.map((value) => (Array.isArray(value) ? (value as number[]) : [value as number]));
  const running = new RunningStats(listed[0].length);
  for (const values of listed) running.add(values);
  return running.result();
}

/** Of some pictures and some of their pixels, as many as LeRobot takes. */
async function pictureStats(path: string, frames: number): Promise<Stats> {
  const samples = Math.max(Math.min(100, frames), Math.min(Math.floor(frames ** 0.75), 10_000));
  const indices = Array.from({ length: samples }, (_, i) =>
    Math.round((i * (frames - 1)) / Math.max(1, samples - 1)),
  );
  const running = new RunningStats(3);
  for await (const frame of decodeFrames(path, { indices })) {
    const { width, height } = frame;
    const longest = Math.max(width, height);
    const step = longest < 300 ? 1 : Math.floor(longest / 150);
    const rgb = await frame.rgb();
    for (let y = 0; y < height; y += step)
      for (let x = 0; x < width; x += step) running.add(rgb, 3 * (y * width + x));
  }
  return running.result(samples, 1 / 255);
}

const isPicture = (key: string) => key.startsWith(cameraKey(''));

/** A picture's are [3, 1, 1]. */
function shapedStats(key: string, { count, ...stats }: Stats): Record<string, unknown> {
  const shaped = (values: readonly number[]) => (isPicture(key) ? values.map((value) => [[value]]) : values);
  return {
    ...Object.fromEntries(Object.entries(stats).map(([name, values]) => [name, shaped(values)])),
    count,
  };
}

function episodeColumns(
  rows: readonly EpisodeRow[],
  names: readonly string[],
  file: { readonly chunk: number; readonly file: number },
): TableColumn[] {
  const int = (name: string, of: (row: EpisodeRow) => number): TableColumn => ({
    ...{ name, type: 'int64', data: rows.map(of) },
  });
  const float = (name: string, of: (row: EpisodeRow) => number): TableColumn => ({
    ...{ name, type: 'float64', data: rows.map(of) },
  });
  const places = (prefix: string) => [
    int(`${prefix}/chunk_index`, ({ index }) => place(index).chunk),
    int(`${prefix}/file_index`, ({ index }) => place(index).file),
  ];
  const ofCamera = (name: string) => {
    const prefix = `videos/${cameraKey(name)}`;
    return [
      ...places(prefix),
      float(`${prefix}/from_timestamp`, () => 0),
      float(`${prefix}/to_timestamp`, ({ seconds }) => seconds),
    ];
  };
  const ofStats = (key: string): TableColumn[] =>
    Object.keys(shapedStats(key, rows[0].stats.get(key)!)).map((name) => ({
      name: `stats/${key}/${name}`,
      type: name === 'count' ? 'int64' : 'float64',
      lists: name !== 'count' && isPicture(key) ? 3 : 1,
      data: rows.map(({ stats }) => shapedStats(key, stats.get(key)!)[name]),
    }));
  return [
    int('episode_index', ({ index }) => index),
    { name: 'tasks', type: 'string', lists: 1, data: rows.map(({ task }) => [task]) },
    int('length', ({ frames }) => frames),
    ...places('data'),
    int('dataset_from_index', ({ from }) => from),
    int('dataset_to_index', ({ from, frames }) => from + frames),
    ...names.flatMap(ofCamera),
    ...[...rows[0].stats.keys()].flatMap(ofStats),
    int('meta/episodes/chunk_index', () => file.chunk),
    int('meta/episodes/file_index', () => file.file),
  ];
}

/** A table of pandas, whose index is the words of each task. */
function writeTasks(path: string, tasks: readonly string[]): Promise<void> {
  const column = (name: string, pandas: string, numpy: string) => ({
    ...{ name, field_name: name, pandas_type: pandas, numpy_type: numpy, metadata: null },
  });
  const pandas = {
    ...{ index_columns: ['task'], column_indexes: [], pandas_version: '2.0.0' },
    columns: [column('task_index', 'int64', 'int64'), column('task', 'unicode', 'object')],
  };
  return writeTable(
    path,
    [
      { name: 'task_index', type: 'int64', data: tasks.map((_, i) => i) },
      { name: 'task', type: 'string', data: tasks },
    ],
    { pandas: JSON.stringify(pandas) },
  );
}

/** @throws InvalidArgumentError unless all clips have the same things. */
export function checkAlike(clips: readonly ClipToExport[]): void {
  const kinds = ({ videos, trajectory }: ClipToExport) =>
    [...Object.keys(videos), ...(trajectory ? ['trajectory'] : [])].join(', ');
  const other = clips.find((clip) => kinds(clip) !== kinds(clips[0]));
  if (other)
    throw new InvalidArgumentError(
      'dataset-file',
      `${other.videos.interaction} has ${kinds(other)}, and ${clips[0].videos.interaction} has ${kinds(clips[0])}; expected the same of every clip`,
    );
}
