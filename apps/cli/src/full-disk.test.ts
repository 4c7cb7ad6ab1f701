/**
 * Every command that writes, on a disk that fills up at one of its writes: one line, exit code 1, and under each name
 * that it writes either nothing or the whole file. `DWM_FULL=all` tries every write of every command, else the last
 * one, of those commands that take seconds.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readSafetensors } from '@dwm/core-tensor/node';
import { type Frames, readPng, readVideo, writeVideo } from '@dwm/media/node';
import { defaultHandPath } from '@dwm/renderer/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { FakeHub, MODEL_ID } from '../../../packages/dwm-model/src/node/download/fake-hub.ts';
import { dwm, ownLines, temporaryFolder } from './testing.ts';

const HOOK = pathToFileURL(join(import.meta.dirname, 'full-disk-hook.js')).href;
const ALL = process.env.DWM_FULL === 'all';
const PATIENCE = ALL ? 3_600_000 : 600_000;
const GOLDEN = join(import.meta.dirname, '../../../packages/dwm-model/tests/golden/pipeline_e2e');
const BASE = join(import.meta.dirname, '../../../configs/dwm-tiny/base');

let folder: string;
const hub = new FakeHub();
let hubAddress: string;
let captioner: Server;
beforeAll(async () => {
  folder = await temporaryFolder();
  const data = new Uint8Array(5 * 32 * 48 * 3).map((_, i) => (i * 7) % 251);
  const clip: Frames = { data, frames: 5, height: 32, width: 48, fps: 8 };
  for (const which of ['videos', 'videos_static', 'videos_hands'])
    await writeVideo(join(folder, `data/s/${which}/a.mp4`), clip);
  await mkdir(join(folder, 'data/s/prompts_rewrite'));
  await writeFile(join(folder, 'data/s/prompts_rewrite/a.txt'), 'a hand opens a drawer\n');
  await writeFile(join(folder, 'list.txt'), 's/videos/a.mp4\n');
  const joints = Array.from({ length: 25 }, (_, j) => [0.01 * (j % 5), 0.004 * j, 0, 0, 0, 0, 1]);
  const pose = {
    transform_matrix: [
      [1, 0, 0, 0],
      [0, 1, 0, 0],
      [0, 0, 1, 0.4],
      [0, 0, 0, 1],
    ],
  };
  const frames = Array.from({ length: 5 }, () => ({ ...pose, hands: { left: null, right: { joints } } }));
  await writeFile(join(folder, 'T.json'), JSON.stringify({ fps: 8, w: 48, h: 32, fl_x: 40, frames }));
  await cp(BASE, join(folder, 'base'), { recursive: true });
  const small = async (path: string, values: object) => {
    const json = JSON.parse(await readFile(join(folder, path), 'utf8'));
    await writeFile(join(folder, path), JSON.stringify({ ...json, ...values }));
  };
  await small('base/transformer/config.json', {
    num_layers: 1,
    num_attention_heads: 2,
    attention_head_dim: 16,
  });
  await small('base/vae/config.json', { block_out_channels: [8, 8, 8], scaling_factor: 0.5 });
  hub.files.set('model_index.json', new TextEncoder().encode('{}'));
  hub.files.set('vae/weights.bin', new Uint8Array(100_000));
  hubAddress = await hub.start();
  captioner = createServer((request, response) => {
    const answer = { choices: [{ message: { content: 'A hand.' } }] };
    request.resume().on('end', () => response.end(JSON.stringify(answer)));
  });
  await new Promise<void>((done) => captioner.listen(0, '127.0.0.1', done));
}, PATIENCE);
afterAll(async () => {
  hub.stop();
  captioner?.close();
  await rm(folder, { recursive: true });
});

const EMBEDS = join(GOLDEN, 'io.safetensors');
/** A clip of the golden model, made in no time. */
const CLIP = ['--height', '32', '--width', '48', '--num-frames', '5', '--num-inference-steps', '1'];

/** The clips as a dataset below `out`. */
async function dataset(out: string): Promise<string> {
  await cp(join(folder, 'data/s'), join(out, 'scene/action'), { recursive: true });
  return out;
}

/** Too slow to be run with the others. */
const SLOW = new Set([
  ...['demo', 'eval of a model', 'generate a list', 'plan', 'rank', 'synth', 'train'],
  ...['trajectory preview', 'tune'],
]);

/** Arguments that write below `out`. */
const COMMANDS: Record<string, (out: string) => Promise<string[]> | string[]> = {
  generate: (out) => {
    const video = (which: string) => join(folder, `data/s/${which}/a.mp4`);
    const io = ['--prompt-embeds', EMBEDS, '--save-tensors', join(out, 'x.safetensors')];
    const videos = ['--static', video('videos_static'), '--hands', video('videos_hands')];
    return ['generate', '--model', GOLDEN, ...videos, ...CLIP, ...io, '--out', join(out, 'x.mp4')];
  },
  'generate a list': (out) => {
    const list = ['--data-root', join(folder, 'data'), '--dataset-file', join(folder, 'list.txt')];
    return [
      ...['generate', '--model', GOLDEN, ...list, '--dataset-output-layout', 'per_sample', ...CLIP],
      ...['--prompt-embeds', EMBEDS, '--output-dir', out],
    ];
  },
  render: (out) => {
    const size = ['--width', '48', '--height', '32', '--frames', '5', '--depth'];
    return [
      'render',
      '--scene',
      defaultHandPath('right'),
      '--trajectory',
      join(folder, 'T.json'),
      ...size,
      '--out',
      out,
    ];
  },
  prepare: (out) => {
    const [video, hands] = ['videos', 'videos_hands'].map((which) => join(folder, `data/s/${which}/a.mp4`));
    const size = ['--width', '48', '--height', '32', '--frames', '5', '--prompt', 'x'];
    return ['prepare', video, '--hands', hands, ...size, '--out', out];
  },
  'trajectory resample': (out) => [
    'trajectory',
    'resample',
    join(folder, 'T.json'),
    '--fps',
    '4',
    '--out',
    join(out, 'T.json'),
  ],
  'trajectory import': (out) => [
    ...['trajectory', 'import', join(folder, 'T.json'), '--out', join(out, 'T.json')],
  ],
  'trajectory preview': (out) => [
    ...['trajectory', 'preview', join(folder, 'T.json'), '--out', join(out, 'T.png')],
  ],
  download: (out) => ['download', MODEL_ID, '--out', out],
  'dataset split': async (out) => [
    ...['dataset', 'split', '--dataset-type', 'trumans', '--data-root', await dataset(out)],
    ...['--output-base-dir', dirname(out), '--output-dir', join(out, 'lists'), '--allow-missing-processed'],
  ],
  caption: async (out) => {
    const { port } = captioner.address() as AddressInfo;
    const endpoint = ['--endpoint', `http://127.0.0.1:${port}/v1`, '--model-name', 'm'];
    return ['caption', ...endpoint, '--root-dir', await dataset(out)];
  },
  encode: async (out) => [
    ...['encode', '--dataset-type', 'trumans', '--data-root', await dataset(out), '--model', GOLDEN],
    ...['--modalities', 'videos', 'hand_videos', '--max-num-frames', '5', '--error-dir', join(out, 'errors')],
  ],
  eval: (out) => {
    const [pred, truth] = ['videos_static', 'videos'].map((which) => join(folder, `data/s/${which}/a.mp4`));
    return ['eval', '--pred-video', pred, '--truth-video', truth, '--out', out];
  },
  'eval of a model': (out) => [
    ...['eval', '--model', GOLDEN, '--data-root', join(folder, 'data')],
    ...[
      '--dataset-file',
      join(folder, 'list.txt'),
      ...CLIP,
      '--prompt-embeds',
      EMBEDS,
      '--no-pck',
      '--out',
      out,
    ],
  ],
  rank: (out) => [
    ...['rank', '--model', GOLDEN, '--scene', defaultHandPath('right'), ...CLIP, '--prompt-embeds', EMBEDS],
    ...['--candidates', join(folder, 'T.json'), '--goal', join(folder, 'data/s/videos/a.mp4'), '--out', out],
  ],
  plan: (out) => [
    ...['plan', '--model', GOLDEN, '--scene', defaultHandPath('right'), '--start', join(folder, 'T.json')],
    ...['--goal', join(folder, 'data/s/videos/a.mp4'), '--target', '0.1,0,0', '--population', '2'],
    ...['--rounds', '2', '--elite', '1', ...CLIP, '--prompt-embeds', EMBEDS, '--out', out],
  ],
  demo: (out) => ['demo', '--out', out],
  tune: () => ['tune', '--model', GOLDEN, '--budget', '2', '--again', ...CLIP.slice(0, 6)],
  synth: (out) => {
    const size = ['--width', '48', '--height', '32', '--frames', '9', '--split', 'test', '--gif-sheet'];
    return ['synth', '--count', '1', '--actions', 'pull-drawer', ...size, '--out', out];
  },
  train: async (out) => {
    const file = join(folder, 'train.yaml');
    const experiment = {
      experiment: { name: 'x', output_dir: out },
      model: { base_model_name_or_path: join(folder, 'base'), from_scratch: true },
      data: {
        data_root: join(folder, 'data'),
        dataset_file: [join(folder, 'list.txt')],
        ...{ height_buckets: 32, width_buckets: 48, frame_buckets: 5 },
      },
      training: { mode: 'full', max_train_steps: 1, custom_settings: { load_tensors: false } },
    };
    await writeFile(file, stringify(experiment));
    return ['train', file];
  },
};

/** Every file below, except what says when it was made. */
async function below(of: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  if (!existsSync(of)) return found;
  for (const name of await readdir(of, { recursive: true })) {
    const entry = await stat(join(of, name));
    if (entry.isFile()) found.set(name, entry.size);
  }
  return found;
}

/** @throws where the file is cut. */
async function checkWhole(path: string): Promise<void> {
  if (path.endsWith('.mp4')) await readVideo(path);
  else if (path.endsWith('.png')) await readPng(path);
  else if (path.endsWith('.safetensors')) await readSafetensors(path);
  else if (path.endsWith('.json')) JSON.parse(await readFile(path, 'utf8'));
  else expect((await readFile(path)).length, path).toBeGreaterThan(0);
}

test.each(Object.keys(COMMANDS).filter((name) => ALL || !SLOW.has(name)))(
  'dwm %s',
  async (name) => {
    const cache = join(folder, 'cache');
    const env = {
      ...{ NODE_OPTIONS: `--import ${HOOK}`, DWM_TUNE: 'off', HF_ENDPOINT: hubAddress },
      // What it makes is a cache.
      ...(name !== 'tune' && { DWM_FULL_SPARES: cache, XDG_CACHE_HOME: cache }),
    };
    const run = async (label: string, more: Record<string, string>) => {
      const out = join(folder, name.replaceAll(' ', '-'), label);
      return {
        out,
        ran: await dwm(await COMMANDS[name](out), { env: { XDG_CACHE_HOME: out, ...env, ...more } }),
      };
    };
    const counted = join(folder, `${name}.count`);
    const { ran: whole, out: made } = await run('whole', { DWM_FULL_COUNT: counted });
    expect(whole.code, whole.stderr).toBe(0);
    const writes = Number(await readFile(counted, 'utf8'));
    const sizes = await below(made);
    expect(sizes.size).toBeGreaterThan(0);
    const all = Array.from({ length: writes }, (_, i) => i + 1);
    for (const at of ALL ? all : [writes]) {
      const { out, ran } = await run(String(at), { DWM_FULL_AT: String(at) });
      const why = `at write ${at} of ${writes}: ${ran.stderr}`;
      expect(ran.code, why).toBe(1);
      expect(ownLines(ran).at(-1), why).toMatch(/^error: .*the disk is full; .*free space/);
      expect(
        ownLines(ran).filter((line) => /^error|^\s+at /.test(line)),
        why,
      ).toHaveLength(1);
      for (const path of (await below(out)).keys()) {
        expect(path, why).not.toMatch(name === 'download' ? /\.(tmp|lock)$/ : /\.(tmp|part|lock)$/);
        if (path.endsWith('.part') || sizes.get(path) === 0) continue;
        await checkWhole(join(out, path)).catch((error) => expect.fail(`${path} is cut ${why}: ${error}`));
      }
    }
  },
  PATIENCE,
);
