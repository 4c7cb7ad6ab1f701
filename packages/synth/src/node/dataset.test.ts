import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readVideo } from '@dwm/media/node';
import { readTransforms } from '@dwm/renderer';
import { expect, test } from 'vitest';
import { FIRST_TEST_SEED } from '../types.ts';
import { GENERATOR_VERSION } from '../version.ts';
import { glbOf, thing } from '../world/testing.ts';
import { clipPaths, sampleOf, splitOf } from './clip-files.ts';
import { clipSettings } from './dataset-settings.ts';
import { type DatasetOptions, listLine, writeDataset } from './index.ts';

const options = (root: string, change: Partial<DatasetOptions> = {}): DatasetOptions => ({
  root,
  split: 'test',
  seed: 0,
  count: 3,
  width: 48,
  height: 32,
  frames: 9,
  fps: 8,
  actions: ['pull-drawer', 'touch-nothing'],
  fixedCamera: 0.5,
  workers: 2,
  ...change,
});
const tin = glbOf(thing((mesh) => mesh.box([0.05, 0.05, 0.03], [1, 0, 0])).meshes[0].primitives[0]);
const folder = () => mkdtempSync(join(tmpdir(), 'dwm-synth-'));
/** Every file below, with its bytes. */
function contents(root: string): Map<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort()
      .map((path) => [path.slice(root.length), readFileSync(path).toString('base64')]),
  );
}

test('a seed says its split and its place', () => {
  expect(splitOf(999_999)).toBe('train');
  expect(splitOf(FIRST_TEST_SEED)).toBe('test');
  expect(sampleOf(12_345)).toBe('train-012');
  expect(listLine(FIRST_TEST_SEED + 7)).toBe('test-000/videos/1000007.mp4');
});

test('action and camera follow the seed and nothing else', () => {
  const { root, split, seed, count, ...rest } = options('');
  const settings = Array.from({ length: 200 }, (_, i) => clipSettings(i, rest));
  expect(settings).toEqual(Array.from({ length: 200 }, (_, i) => clipSettings(i, rest)));
  const share = settings.filter(({ fixedCamera }) => fixedCamera).length / 200;
  expect(share).toBeGreaterThan(0.35);
  expect(share).toBeLessThan(0.65);
  expect(new Set(settings.map(({ action }) => action)).size).toBe(2);
});

test('two workers, one that is interrupted and goes on: the same files; all of them are there and readable', async () => {
  const [whole, parts] = [folder(), folder()];
  try {
    const first = await writeDataset(options(whole));
    expect([first.clips, first.kept]).toEqual([3, 0]);
    const line = readFileSync(first.list, 'utf8').split('\n').slice(0, 3);
    expect(line).toEqual(first.seeds.map(listLine));

    const controller = new AbortController();
    const stopped = writeDataset(
      options(parts, { workers: 1, signal: controller.signal, onClip: () => controller.abort() }),
    );
    await expect(stopped).rejects.toThrow(/abort/i);
    const second = await writeDataset(options(parts, { workers: 1 }));
    expect(second.clips).toBe(3);
    expect([...contents(parts).keys()]).toEqual([...contents(whole).keys()]);
    for (const [path, bytes] of contents(whole)) expect(contents(parts).get(path) === bytes, path).toBe(true);

    const seed = first.seeds[0];
    const paths = clipPaths(whole, seed);
    for (const path of [paths.video, paths.static, paths.hands]) {
      const video = await readVideo(path);
      expect([video.frames, video.height, video.width, video.fps]).toEqual([9, 32, 48, 8]);
    }
    expect(readFileSync(paths.prompt, 'utf8')).toMatch(/^The .* hand .*\.\n$/);
    const trajectory = readTransforms({ name: 'clip', text: readFileSync(paths.trajectory, 'utf8') });
    expect(trajectory.frames).toHaveLength(9);
    expect(trajectory.frames[0].intrinsics.width).toBe(48);
    const state = JSON.parse(readFileSync(paths.state, 'utf8'));
    expect(state.frames).toHaveLength(9);
    expect(state.seed).toBe(seed);
    expect(Object.keys(state.frames[0].objects).length).toBeGreaterThan(0);
  } finally {
    for (const root of [whole, parts]) rmSync(root, { recursive: true });
  }
}, 240_000);

test('a folder made with other options, and seeds that run into the other split, are refused', async () => {
  const root = folder();
  try {
    const { seeds } = await writeDataset(options(root, { count: 1, actions: ['touch-nothing'], workers: 1 }));
    const { state } = clipPaths(root, seeds[0]);
    const log = readFileSync(state);
    for (const [damaged, why] of [
      ['{"action":"\\u001b[2J"}', 'action: "\\u001b[2J"'],
      ['{"action":"miss","acts":[{"from":0}]}', 'acts: [{"from":0}]'],
    ]) {
      writeFileSync(state, damaged);
      await expect(
        writeDataset(options(root, { count: 1, actions: ['touch-nothing'], workers: 1 })),
      ).rejects.toThrow(`is damaged (${why}), expected what dwm synth writes; delete it`);
    }
    writeFileSync(state, log);
    await expect(writeDataset(options(root, { count: 1, workers: 1 }))).rejects.toThrow(
      /actions: .* was made with \["touch-nothing"\]/,
    );
    await expect(writeDataset(options(root, { acts: 3 }))).rejects.toThrow(
      'acts: 3 acts need 36 frames or more, got 9; ask for fewer acts or more frames',
    );
    await expect(writeDataset(options(root, { split: 'train', seed: 999_999, count: 2 }))).rejects.toThrow(
      /pass the last training seed, 999999/,
    );
    const parts = join(root, 'parts');
    mkdirSync(parts);
    writeFileSync(join(parts, 'tin.glb'), tin);
    const again = { actions: ['touch-nothing'] as const, workers: 1 };
    await expect(writeDataset(options(root, { ...again, count: 1, parts }))).rejects.toThrow(
      /^parts: .* was made with "none", expected the same, got {"tin.glb":"[0-9a-f]{64}"}/,
    );
    // As folders were before versions were written.
    const settings = join(root, 'synth.json');
    const { version, parts: none, ...old } = JSON.parse(readFileSync(settings, 'utf8'));
    expect([version, none]).toEqual([GENERATOR_VERSION, 'none']);
    writeFileSync(settings, JSON.stringify(old));
    expect(await writeDataset(options(root, { ...again, count: 1 }))).toMatchObject({ clips: 1, kept: 1 });
    await expect(writeDataset(options(root, { ...again, count: 2 }))).rejects.toThrow(
      new RegExp(
        `^version: .* was made by version 1 of the generator, expected ${GENERATOR_VERSION} to add clips; choose another folder$`,
      ),
    );
  } finally {
    rmSync(root, { recursive: true });
  }
}, 240_000);
