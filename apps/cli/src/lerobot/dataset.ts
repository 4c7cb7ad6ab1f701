/**
 * A data set of LeRobot, of format v2.0, v2.1 or v3.0, an episode at a time:
 *
 *   meta/info.json                                 rate, features, and where the files are
 *   meta/episodes.jsonl                            v2: an episode a line
 *   meta/episodes/chunk-000/file-000.parquet       v3: an episode a row
 *   data/…parquet                                  a frame a row; a file an episode in v2, many episodes in v3
 *   videos/…mp4                                    likewise
 */
import { createReadStream } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import { fileProblem, hubBlobs, openPath, reach, readRegularText } from '@dwm/core-tensor/node';
import { Field } from '@dwm/renderer';
import { exists } from '../generate/files.ts';
import { type Row, rowsWhere } from './parquet.ts';

/** Part of a video file: from one time to the other, seconds. */
interface VideoPart {
  readonly path: string;
  readonly from: number;
  /** Undefined for the file's end. */
  readonly to?: number;
}

/** One recording of a data set. */
export interface Episode {
  readonly index: number;
  readonly frames: number;
  /** What is done, in words; empty where the data set does not say. */
  readonly task: string;
  /** The part of a file that shows it from one camera. */
  video(camera: string): Promise<VideoPart>;
  /** Its frames, of the columns asked for. */
  rows(columns: readonly string[]): Promise<Row[]>;
}

export const isLerobot = (folder: string): Promise<boolean> => exists(join(folder, 'meta', 'info.json'));

export class LerobotDataset {
  readonly folder: string;
  readonly fps: number;
  /** Names of the features that are videos. */
  readonly cameras: readonly string[];
  readonly #info: Field;
  readonly #version: 2 | 3;
  readonly #episodes: number;

  private constructor(folder: string, info: Field) {
    this.folder = folder;
    this.#info = info;
    const version = info.get('codebase_version');
    const [, major] = /^v?([23])\.\d+$/.exec(version.text()) ?? [];
    if (!major)
      throw version.error("v2.0, v2.1 or v3.0; LeRobot's own scripts bring older data sets to one of them");
    this.#version = major === '2' ? 2 : 3;
    this.fps = info.get('fps').positive();
    this.#episodes = info.get('total_episodes').positive();
    const features = info.get('features');
    this.cameras = keysOf(features).filter((key) => features.get(key).get('dtype').text() === 'video');
  }

  /** @throws InvalidFileError naming the field that is not as the format has it. */
  static async open(folder: string): Promise<LerobotDataset> {
    const path = join(folder, 'meta', 'info.json');
    const text = await readRegularText(path).catch((error) => {
      throw new InvalidFileError(path, fileProblem(error));
    });
    return new LerobotDataset(folder, Field.parse({ name: path, text }));
  }

  /** What the numbers of a feature are called, in order; undefined without that feature. */
  namesOf(feature: string): readonly string[] | undefined {
    const found = this.#info.get('features').get(feature);
    if (found.absent) return undefined;
    const names = found.get('names');
    return Array.isArray(names.value) ? names.items().map((name) => String(name.value)) : [];
  }

  /**
   * The camera that a flag names, or the only one.
   * @throws InvalidArgumentError for another; InvalidFileError where there is no video.
   */
  camera(wanted: string | undefined): string {
    const list = this.cameras.join(', ');
    if (this.cameras.length === 0)
      throw new InvalidFileError(
        this.#info.file,
        "features: none is a video; convert the images to videos with LeRobot's own script",
      );
    if (wanted === undefined && this.cameras.length > 1)
      throw new InvalidArgumentError('camera', `is required, one of ${list}`);
    const camera = wanted ?? this.cameras[0];
    if (!this.cameras.includes(camera))
      throw new InvalidArgumentError('camera', `${quote(camera)} is none of ${list}`);
    return camera;
  }

  /** @throws InvalidArgumentError for a number that no episode has; InvalidFileError. */
  async episode(index: number): Promise<Episode> {
    if (index >= this.#episodes)
      throw new InvalidArgumentError(
        'episode',
        `${index} is not in ${this.folder}, which has 0 to ${this.#episodes - 1}`,
      );
    return this.#version === 2 ? this.#episodeOfLine(index) : this.#episodeOfRow(index);
  }

  async #episodeOfLine(index: number): Promise<Episode> {
    const path = join(this.folder, 'meta', 'episodes.jsonl');
    // Refuses a pipe, on which reading waits for ever.
    await (await openPath(path)).close?.();
    const stream = createReadStream(path, 'utf8');
    const problem = new Promise<never>((_, reject) => {
      stream.on('error', (error) => reject(new InvalidFileError(path, fileProblem(error))));
    });
    const found = await Promise.race([lineOf(stream, path, index), problem]).finally(() => stream.destroy());
    const places = {
      episode_chunk: Math.floor(index / this.#info.get('chunks_size').positive()),
      episode_index: index,
    };
    return {
      index,
      frames: count(found.get('length')),
      task: taskOf(found.get('tasks')),
      video: async (camera) => ({
        path: await this.#path('video_path', { ...places, video_key: camera }),
        from: 0,
      }),
      rows: async (columns) => this.#rows(await this.#path('data_path', places), index, columns),
    };
  }

  async #episodeOfRow(index: number): Promise<Episode> {
    const own = ['chunk_index', 'file_index'].map((name) => `data/${name}`);
    const ofVideo = (camera: string) =>
      ['chunk_index', 'file_index', 'from_timestamp', 'to_timestamp'].map(
        (name) => `videos/${camera}/${name}`,
      );
    const columns = ['length', 'tasks', ...own, ...this.cameras.flatMap(ofVideo)];
    for (const path of await parquetFiles(join(this.folder, 'meta', 'episodes'))) {
      const [row] = await rowsWhere(path, 'episode_index', index, columns);
      if (!row) continue;
      const field = (name: string) => new Field(path, name, plain(row[name]));
      const places = ([chunk, file]: readonly string[]) => ({
        chunk_index: count(field(chunk), 0),
        file_index: count(field(file), 0),
      });
      return {
        index,
        frames: count(field('length')),
        task: taskOf(field('tasks')),
        video: async (camera) => {
          const names = ofVideo(camera);
          const [from, to] = names.slice(2).map((name) => field(name).number());
          return { path: await this.#path('video_path', { ...places(names), video_key: camera }), from, to };
        },
        rows: async (columns) => this.#rows(await this.#path('data_path', places(own)), index, columns),
      };
    }
    throw new InvalidFileError(
      join(this.folder, 'meta', 'episodes'),
      `holds no episode ${index}, which ${this.#info.file} counts; fetch the data set again`,
    );
  }

  async #rows(path: string, index: number, columns: readonly string[]): Promise<Row[]> {
    const rows = await rowsWhere(path, 'episode_index', index, columns);
    if (rows.length === 0) throw new InvalidFileError(path, `holds no frame of episode ${index}`);
    return rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([key, value]) => [key, plain(value)])),
    );
  }

  /** A path that `info.json` has as a format of Python's. @throws InvalidFileError for one that leaves the folder. */
  async #path(key: string, values: Readonly<Record<string, string | number>>): Promise<string> {
    const format = this.#info.get(key);
    const path = format.text().replace(/\{(\w+)(?::0?(\d)d)?\}/g, (_, name, digits) => {
      const value = Object.hasOwn(values, name) ? values[name] : undefined;
      if (value === undefined) throw format.error(`a path made of ${Object.keys(values).join(', ')}`);
      return String(value).padStart(Number(digits ?? 0), '0');
    });
    const alsoInto = hubBlobs(await realpath(this.folder));
    return reach(path, { root: this.folder, file: this.#info.file, field: key, alsoInto });
  }
}

async function lineOf(stream: NodeJS.ReadableStream, path: string, index: number): Promise<Field> {
  let number = 0;
  for await (const text of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (text.trim() === '') continue;
    const line = Field.parse({ name: path, text }, `line ${number}`);
    if (line.get('episode_index').number() === index) return line;
  }
  throw new InvalidFileError(path, `holds no episode ${index}; fetch the data set again`);
}

async function parquetFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch((error) => {
    throw new InvalidFileError(folder, fileProblem(error));
  });
  return names
    .filter((name) => name.endsWith('.parquet'))
    .sort()
    .map((name) => join(folder, name));
}

function keysOf(field: Field): string[] {
  const { value } = field;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw field.error('an object');
  return Object.keys(value);
}

function count(field: Field, least = 1): number {
  const value = field.number();
  if (!Number.isSafeInteger(value) || value < least) throw field.error(`a whole number from ${least}`);
  return value;
}

/** Several tasks are one after another. */
const taskOf = (tasks: Field): string =>
  tasks.absent
    ? ''
    : tasks
        .items()
        .map((task) => task.text().trim())
        .join(' ');

/** Whole numbers of 64 bits as numbers, lists as arrays. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value) || ArrayBuffer.isView(value))
    return Array.from(value as ArrayLike<unknown>, plain);
  return value;
}
