import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { checkJobFiles, openCheckpointFolder } from './check.ts';
import {
  belowRoot,
  chunkBounds,
  type Job,
  type ListOptions,
  readDatasetList,
  shareFrom,
  shareOf,
  WHOLE,
} from './jobs.ts';

let root: string;
let outside: string;
beforeAll(async () => {
  root = await temporaryFolder();
  outside = await temporaryFolder();
  for (const folder of [root, outside]) await mkdir(join(folder, 'kitchen/cut/videos'), { recursive: true });
  await writeFile(join(outside, 'kitchen/cut/videos/1.mp4'), 'x');
  await symlink(join(outside, 'kitchen'), join(root, 'linked'));
  await mkdir(join(root, 'half/videos'), { recursive: true });
  await mkdir(join(outside, 'static'));
  await symlink(join(outside, 'static'), join(root, 'half/videos_static'));
});

async function read(list: string, options: Partial<ListOptions> = {}): Promise<Job[]> {
  const file = join(root, 'list.txt');
  await writeFile(file, list);
  return readDatasetList(file, { dataRoot: root, promptSubdir: 'prompts', layout: 'flat', ...options });
}

describe('readDatasetList', () => {
  test('finds the files of every clip, past comments, blank lines and Windows line ends', async () => {
    const jobs = await read('# clips\r\nkitchen/cut/videos/1.mp4\r\n\r\n  hall/videos/b.c.mp4  \n');
    expect(jobs).toEqual([
      {
        name: '1',
        staticVideo: join(root, 'kitchen/cut/videos_static/1.mp4'),
        handVideo: join(root, 'kitchen/cut/videos_hands/1.mp4'),
        line: 'kitchen/cut/videos/1.mp4',
        truth: join(root, 'kitchen/cut/videos/1.mp4'),
        promptFile: join(root, 'kitchen/cut/prompts/1.txt'),
        index: 0,
      },
      {
        name: 'b.c',
        staticVideo: join(root, 'hall/videos_static/b.c.mp4'),
        handVideo: join(root, 'hall/videos_hands/b.c.mp4'),
        line: 'hall/videos/b.c.mp4',
        truth: join(root, 'hall/videos/b.c.mp4'),
        promptFile: join(root, 'hall/prompts/b.c.txt'),
        index: 1,
      },
    ]);
  });

  test('per_sample names keep clips of one stem apart; flat refuses them', async () => {
    const list = 'a/videos/1.mp4\nb/videos/1.mp4\n';
    expect((await read(list, { layout: 'per_sample' })).map(({ name }) => name)).toEqual([
      join('a', '1', '1'),
      join('b', '1', '1'),
    ]);
    await expect(read(list)).rejects.toThrow(
      'line 2 "b/videos/1.mp4": would overwrite the output of line 1; use --dataset-output-layout per_sample',
    );
  });

  test('per_sample names of clips whose stems differ are the original ones', async () => {
    const list = 'a/videos/1.mp4\nb/videos/2.mp4\n';
    expect((await read(list, { layout: 'per_sample' })).map(({ name }) => name)).toEqual([
      join('1', '1'),
      join('2', '2'),
    ]);
  });

  test('folders beside the videos have the names that the experiment gives them', async () => {
    const [job] = await read('a/videos/1.mp4', {
      staticSubdir: 'still',
      handSubdir: 'mine',
      promptSubdir: 'said',
    });
    expect(job).toMatchObject({
      staticVideo: join(root, 'a/still/1.mp4'),
      handVideo: join(root, 'a/mine/1.mp4'),
      promptFile: join(root, 'a/said/1.txt'),
    });
  });

  test('links are followed where that is asked for', async () => {
    const jobs = await read('linked/cut/videos/1.mp4\nhalf/videos/2.mp4', { followLinks: true });
    expect(jobs.map(({ name }) => name)).toEqual(['1', '2']);
    await expect(read('linked/cut/videos/1.mp4')).rejects.toThrow('or pass --follow-links');
  });

  test('lists and videos are looked for below the data root, then where we are', async () => {
    await writeFile(join(root, 'own.txt'), 'a/videos/1.mp4');
    expect(
      await readDatasetList('own.txt', { dataRoot: root, promptSubdir: 'p', layout: 'flat' }),
    ).toHaveLength(1);
    expect(await belowRoot('own.txt', root)).toBe(join(root, 'own.txt'));
    expect(await belowRoot('package.json', root)).toBe('package.json');
    expect(await belowRoot('nowhere.mp4', root)).toBe(join(root, 'nowhere.mp4'));
    expect(await belowRoot('/x.mp4', root)).toBe('/x.mp4');
    expect(await belowRoot('x.mp4', undefined)).toBe('x.mp4');
  });

  test('takes the first n', async () => {
    const list = Array.from({ length: 7 }, (_, i) => `s/videos/${i}.mp4`).join('\n');
    expect((await read(list, { maxSamples: 3 })).map(({ name }) => name)).toEqual(['0', '1', '2']);
    expect(await read(list, { maxSamples: 30 })).toHaveLength(7);
    const shuffled = await read(list, { maxSamples: 3, shuffleSeed: 42 });
    expect(shuffled.map(({ name, index }) => [name, index])).toEqual([
      ['3', 0],
      ['2', 1],
      ['6', 2],
    ]);
  });

  test.each([
    ['a step up', '../other/videos/1.mp4', 'leads out by ".."'],
    ['a step up in the middle', 'kitchen/../../other/videos/1.mp4', 'leads out by ".."'],
    ['an absolute path', '/etc/videos/passwd', 'is an absolute path'],
    ['a NUL', 'kitchen/videos/1\0.mp4', 'has a control character'],
    ['a linked folder', 'linked/cut/videos/1.mp4', 'copy the file into the data root'],
    ['a linked folder of static videos', 'half/videos/1.mp4', 'copy the file into the data root'],
    ['another folder than videos', 'kitchen/cut/1.mp4', 'expected <sample>/videos/<stem>.mp4'],
  ])('refuses %s, naming list and line', async (_, line, problem) => {
    // The static video is looked for where the link leads.
    await writeFile(join(outside, 'static/1.mp4'), 'x');
    const error = await read(`ok/videos/0.mp4\n${line}`).then(
      () => expect.fail('was accepted'),
      (e) => e,
    );
    expect(error).toBeInstanceOf(InvalidFileError);
    expect(error.message).toContain('list.txt: line 2 "');
    expect(error.message).toContain(problem);
    expect(error.message.split('\n')).toHaveLength(1);
  });

  test('refuses an empty list, a missing list and a missing root', async () => {
    await expect(read('\n# nothing\n')).rejects.toThrow('lists no clips');
    await expect(
      readDatasetList(join(root, 'no.txt'), { dataRoot: root, promptSubdir: 'p', layout: 'flat' }),
    ).rejects.toThrow('no.txt: no such file or folder; check --dataset-file');
    await expect(read('a/videos/1.mp4', { dataRoot: '/nowhere' })).rejects.toThrow(
      'data-root: no folder /nowhere',
    );
  });
});

describe('shares', () => {
  const jobs = Array.from({ length: 11 }, (_, index) => ({ index }) as Job);
  const indices = (share: Parameters<typeof shareOf>[1]) => shareOf(jobs, share).map(({ index }) => index);

  test('shards deal out, chunks cut, and both together cover every clip once', () => {
    expect(indices(WHOLE)).toHaveLength(11);
    expect(indices({ ...WHOLE, shard: { rank: 1, of: 3 } })).toEqual([1, 4, 7, 10]);
    expect(indices({ ...WHOLE, chunk: { rank: 1, of: 3 } })).toEqual([3, 4, 5, 6]);
    const all = [];
    for (let c = 0; c < 4; c++)
      for (let s = 0; s < 3; s++)
        all.push(...indices({ chunk: { rank: c, of: 4 }, shard: { rank: s, of: 3 } }));
    expect(all.sort((a, b) => a - b)).toEqual(jobs.map(({ index }) => index));
  });

  test('chunks are cut where the original cuts them', () => {
    const lengths = Array.from({ length: 8 }, (_, rank) => {
      const [start, end] = chunkBounds(50, { rank, of: 8 });
      return end - start;
    });
    expect(lengths).toEqual([6, 6, 6, 7, 6, 6, 6, 7]);
    // More chunks than clips: each clip is in one of them all the same.
    const few = Array.from({ length: 5 }, (_, rank) => chunkBounds(3, { rank, of: 5 }));
    expect(few).toEqual([
      [0, 0],
      [0, 1],
      [1, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  test('or the first chunks are one clip longer', () => {
    const bounds = Array.from({ length: 4 }, (_, rank) => chunkBounds(11, { rank, of: 4 }, 'first'));
    expect(bounds).toEqual([
      [0, 3],
      [3, 6],
      [6, 9],
      [9, 11],
    ]);
    const few = Array.from({ length: 3 }, (_, rank) => chunkBounds(2, { rank, of: 3 }, 'first'));
    expect(few).toEqual([
      [0, 1],
      [1, 2],
      [2, 2],
    ]);
    const last = { shard: { rank: 0, of: 1 }, chunk: { rank: 3, of: 4 } };
    expect(shareOf(jobs, last, 'first').map(({ index }) => index)).toEqual([9, 10]);
  });

  test('flags win over the environment', () => {
    const env = { LOCAL_RANK: '1', WORLD_SIZE: '4', SLURM_ARRAY_TASK_ID: '2', SLURM_ARRAY_TASK_COUNT: '3' };
    expect(shareFrom({}, env)).toEqual({ shard: { rank: 1, of: 4 }, chunk: { rank: 2, of: 3 } });
    expect(shareFrom({ shardRank: 5, numShards: 6, chunkId: 0, numChunks: 1 }, env)).toEqual({
      shard: { rank: 5, of: 6 },
      chunk: { rank: 0, of: 1 },
    });
    // The second of two machines.
    expect(shareFrom({}, { RANK: '5', LOCAL_RANK: '1', WORLD_SIZE: '8' }).shard).toEqual({ rank: 5, of: 8 });
    expect(shareFrom({}, {})).toEqual(WHOLE);
    expect(shareFrom({}, { LOCAL_RANK: '0', WORLD_SIZE: '' })).toEqual(WHOLE);
  });

  test.each([
    [{ shardRank: 1 }, {}, '--shard-rank: needs --num-shards (or WORLD_SIZE) too'],
    [{ chunkId: 0 }, {}, '--chunk-id: needs --num-chunks (or SLURM_ARRAY_TASK_COUNT) too'],
    [{ numChunks: 1 }, {}, '--num-chunks: is 1, so --chunk-id (or SLURM_ARRAY_TASK_ID) is needed too'],
    [
      {},
      { SLURM_ARRAY_TASK_ID: '0' },
      'SLURM_ARRAY_TASK_ID: needs --num-chunks (or SLURM_ARRAY_TASK_COUNT) too',
    ],
    [
      {},
      { SLURM_ARRAY_TASK_COUNT: '1' },
      'SLURM_ARRAY_TASK_COUNT: is 1, so --chunk-id (or SLURM_ARRAY_TASK_ID)',
    ],
    [{ numShards: 4 }, {}, '--num-shards: is 4, so --shard-rank (or LOCAL_RANK) is needed too'],
    [{}, { WORLD_SIZE: '4' }, 'WORLD_SIZE: is 4, so --shard-rank (or LOCAL_RANK) is needed too'],
    [{ shardRank: 4, numShards: 4 }, {}, '--shard-rank: expected 0 to 3, got 4'],
    [
      {},
      { SLURM_ARRAY_TASK_ID: '8', SLURM_ARRAY_TASK_COUNT: '8' },
      'SLURM_ARRAY_TASK_ID: expected 0 to 7, got 8',
    ],
    [{}, { LOCAL_RANK: 'one', WORLD_SIZE: '2' }, 'LOCAL_RANK: expected a whole number from 0 up, got "one"'],
    [{}, { LOCAL_RANK: '0', WORLD_SIZE: '0' }, 'WORLD_SIZE: expected at least 1, got 0'],
  ])('refuses %o with %o', (flags, env, message) => {
    expect(() => shareFrom(flags, env)).toThrow(InvalidArgumentError);
    expect(() => shareFrom(flags, env)).toThrow(message);
  });
});

test('what is not there is named with the flag that names it', async () => {
  const there = join(outside, 'kitchen/cut/videos/1.mp4');
  const job = { name: 'x', index: 0, staticVideo: there, handVideo: there };
  const refused = (change: object, given: object) =>
    expect(checkJobFiles([{ ...job, ...change }], given)).rejects;
  await refused({ staticVideo: 'no.glb' }, { scene: ['no.glb'] }).toThrow(
    'no.glb: no such file; expected a scene (--scene)',
  );
  await refused({ staticVideo: 'no.mp4' }, { staticVideo: 'no.mp4' }).toThrow(
    'expected the static video (--static)',
  );
  await refused({ handVideo: 'T.json' }, { trajectory: 'T.json' }).toThrow(
    'expected a trajectory (--trajectory)',
  );
  await refused({ handVideo: 'no.mp4' }, {}).toThrow(/expected the hand video$/);
  await expect(openCheckpointFolder(join(root, 'no'), undefined)).rejects.toThrow(
    'no such file or folder; give --lora',
  );
});
