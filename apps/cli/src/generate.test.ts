/** `dwm generate` as a user runs it: a process, files in, files out. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, cp, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor/files';
import { readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { readVideo, writePng } from '@dwm/media/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { dwm, haveShared, needsShared, ownLines, shared, temporaryFolder } from './testing.ts';

const golden = join(import.meta.dirname, '../../../packages/dwm-model/tests/golden/pipeline_e2e');
const DWM = join(import.meta.dirname, '../bin/dwm.js');
const SIZE = ['--height', '32', '--width', '48', '--num-frames', '9'];
const EMBEDS = join(golden, 'io.safetensors');

let folder: string;
let io: Map<string, SafetensorsTensor>;
let original: Map<string, SafetensorsTensor>;
/** The golden conditioning videos as folders of frames, and its latents. */
let GOLDEN: string[];
beforeAll(async () => {
  folder = await temporaryFolder();
  io = await readSafetensors(EMBEDS);
  original = await readSafetensors(join(golden, 'cfg6.safetensors'));
  for (const name of ['static', 'hand']) {
    const { data, shape } = io.get(`in.${name}_u8`)!;
    const [frames, height, width] = shape;
    const bytes = height * width * 3;
    for (let i = 0; i < frames; i++) {
      const pixels = (data as Uint8Array).slice(i * bytes, (i + 1) * bytes);
      await writePng(join(folder, name, `${String(i).padStart(3, '0')}.png`), {
        height,
        width,
        data: pixels,
      });
    }
  }
  const latents = join(folder, 'latents.safetensors');
  await saveSafetensors(
    latents,
    new Map([
      ['latents', io.get('in.latents')!],
      ['eps.hand', original.get('eps.hand')!],
    ]),
  );
  GOLDEN = [
    'generate',
    '--model',
    golden,
    '--static',
    join(folder, 'static'),
    '--hands',
    join(folder, 'hand'),
  ];
  GOLDEN.push('--prompt-embeds', EMBEDS, '--latents', latents, ...SIZE);
});

const files = async (of: string) => (existsSync(of) ? (await readdir(of, { recursive: true })).sort() : []);

test.skipIf(process.platform === 'win32')('--prompt-file may be a pipe', async () => {
  const videos = ['--static', join(folder, 'static'), '--hands', join(folder, 'hand')];
  const run = ['generate', ...videos, '--out', join(folder, 'x.mp4'), '--dry-run', '--device', 'h200'];
  const command = 'echo "A hand waves." | "$0" "$@" --prompt-file /dev/stdin';
  const { status, stderr } = spawnSync('bash', ['-c', command, DWM, ...run], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  // A dry run has all checks of a run.
  expect(stderr).toMatch(/^9 of 9 frames at their own speed, .*; hands in/m);
});

test('the golden run from PNG frames: the pixels of the original, twice the same bits, a record that repeats it', async () => {
  const out = join(folder, 'golden');
  const args = [...GOLDEN, '--num-inference-steps', '4', '--save-tensors', join(out, 'a.safetensors')];
  const first = await dwm([...args, '--out', join(out, 'a.mp4'), '--json']);
  expect(first.code, first.stderr).toBe(0);
  const { clips } = JSON.parse(first.stdout);
  expect(clips).toMatchObject([{ video: join(out, 'a.mp4'), metadata: join(out, 'metadata.json') }]);
  expect(ownLines(first)).toEqual([]);
  expect(await files(out)).toEqual([
    'a.mp4',
    'a.safetensors',
    'a_contact_sheet.png',
    'a_full_comparison.mp4',
    'metadata.json',
  ]);
  const saved = await readSafetensors(join(out, 'a.safetensors'));
  const [got, want] = [toFloat32(saved.get('video')!), toFloat32(original.get('video')!)];
  expect(got.length).toBe(want.length);
  expect(got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i])), 0)).toBeLessThan(1 / 255);
  expect(await readVideo(join(out, 'a.mp4'))).toMatchObject({ frames: 9, height: 32, width: 48, fps: 8 });

  const { 'a.mp4': record } = JSON.parse(await readFile(join(out, 'metadata.json'), 'utf8')).clips;
  expect(record).toMatchObject({ seed: 42, numInferenceSteps: 4, guidanceScale: 6, model: golden, fps: 8 });
  const before = await readFile(join(out, 'a.safetensors'));
  const again = await dwm(record.command);
  expect(again.code, again.stderr).toBe(0);
  expect((await readFile(join(out, 'a.safetensors'))).equals(before)).toBe(true);
}, 120_000);

test('the model says whether clips are composited, and the flag has the last word', async () => {
  const model = join(folder, 'composited');
  await cp(golden, model, { recursive: true });
  await writeFile(join(model, 'generation.json'), '{ "composite": true }');
  const near = ['--num-inference-steps', '40', '--strength', '0.05'];
  const made = async (of: string, name: string, ...flags: string[]) => {
    const out = join(folder, 'compositing', name);
    const args = GOLDEN.filter((_, i) => ![GOLDEN[i], GOLDEN[i - 1]].includes('--latents'));
    args[args.indexOf('--model') + 1] = of;
    const ran = await dwm([
      ...args,
      ...near,
      ...flags,
      '--out',
      `${out}.mp4`,
      '--save-tensors',
      `${out}.bin`,
    ]);
    expect(ran.code, ran.stderr).toBe(0);
    return Buffer.from(toFloat32((await readSafetensors(`${out}.bin`)).get('video')!).buffer);
  };
  const composited = await made(model, 'own');
  const plain = await made(golden, 'plain');
  expect(composited.equals(plain)).toBe(false);
  expect((await made(model, 'off', '--no-composite')).equals(plain)).toBe(true);
  expect((await made(golden, 'on', '--composite')).equals(composited)).toBe(true);
}, 120_000);

test('bad input is one line, exit code 1, and no file', async () => {
  const out = join(folder, 'bad');
  const broken = join(folder, 'model');
  await cp(golden, broken, { recursive: true });
  await truncate(join(broken, 'vae/diffusion_pytorch_model.safetensors'), 30_000);
  const garbage = join(folder, 'garbage.mp4');
  await writeFile(garbage, 'no video '.repeat(1000));
  // A folder for each, which its process alone uses.
  let folders = 0;
  const write = () => ['--out', join(out, `${folders++}/x.mp4`)];
  const swap = (flag: string, value: string) =>
    GOLDEN.map((arg, i) => (GOLDEN[i - 1] === flag ? value : arg));
  const cases: [args: string[], problem: string][] = [
    [
      [...GOLDEN, '--out', join(out, 'x.avi')],
      `out: expected a name ending in .mp4, got ${join(out, 'x.avi')}`,
    ],
    [[...GOLDEN, ...write(), '--height', '40'], 'expected a multiple of 16; see dwm --help'],
    [
      [...GOLDEN, ...write(), '--numframes', '9'],
      "unknown option '--numframes' (Did you mean --num-frames?)",
    ],
    [
      [...GOLDEN, ...write(), '--prompt', 'x'],
      'prompt: expected one kind of prompt, got --prompt and --prompt-embeds',
    ],
    [
      [...swap('--model', '/nowhere'), ...write()],
      '/nowhere: no such folder; give --model the folder of a model',
    ],
    [[...swap('--hands', garbage), ...write()], `${garbage}: is not a video this program reads`],
    [
      [...swap('--model', broken), ...write()],
      `${join(broken, 'vae/diffusion_pytorch_model.safetensors')}: truncated: `,
    ],
    [
      [...GOLDEN, '--out', join(garbage, 'x.mp4')],
      `${garbage}: cannot be written to: ${garbage} is a file, expected a folder`,
    ],
    [
      [...GOLDEN, ...write(), '--lora', folder],
      `${join(folder, 'latents.safetensors')}: holds no LoRA weights of this network`,
    ],
  ];
  // Two at a time: most of a process is its start.
  const results = new Map<string, Awaited<ReturnType<typeof dwm>>>();
  const queue = [...cases];
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift())
      results.set(next[1], await dwm([...next[0], '--json']));
  };
  await Promise.all([work(), work()]);
  for (const [problem, result] of results) {
    expect(result.code, problem).toBe(1);
    expect(result.stdout).toBe('');
    const lines = ownLines(result);
    expect(lines).toHaveLength(1);
    const { error } = JSON.parse(lines[0]);
    expect(error.message).toContain(problem);
    expect(error.code).toMatch(/^(invalid-(file|argument)|not-writable)$/);
  }
  expect(await files(out)).toEqual([]);
}, 180_000);

test('without a text encoder a prompt is refused before anything is loaded', async () => {
  const args = [
    'generate',
    '--model',
    golden,
    '--static',
    join(folder, 'static'),
    '--hands',
    join(folder, 'hand'),
  ];
  const result = await dwm([...args, '--prompt', 'Pour the tea.', '--out', join(folder, 'x.mp4')]);
  expect(result.code).toBe(1);
  expect(result.stderr).toBe(
    `error: ${join(golden, 'text_encoder')}: is missing, so this model reads no prompts; pass --prompt-embeds with embeddings instead\n`,
  );
});

describe.skipIf(!haveShared)(`on real clips${needsShared}`, () => {
  const list = ['generate', '--model', golden, '--data-root', shared, '--prompt-embeds', EMBEDS, ...SIZE];
  list.push('--dataset-file', join(shared, 'realworld/dataset.txt'), '--num-inference-steps', '2');
  const outputsOf = (stem: string) =>
    ['', '_comparison', '_full_comparison', '_generated']
      .map((suffix) => `${stem}${suffix}.mp4`)
      .concat(`${stem}_contact_sheet.png`, `${stem}.txt`);

  test('a list: this share of it, then the rest of it, Ctrl-C in between', async () => {
    const out = join(folder, 'list');
    const args = [...list, '--output-dir', out];
    const shard = await dwm(args, { env: { LOCAL_RANK: '1', WORLD_SIZE: '2' } });
    expect(shard.code, shard.stderr).toBe(0);
    expect(shard.stdout).toBe(`${join(out, '00043.mp4')}\n`);
    expect(await files(out)).toEqual([...outputsOf('00043'), 'metadata.shard-1-of-2.json'].sort());
    const video = await readVideo(join(out, '00043.mp4'));
    expect(video).toMatchObject({ frames: 9, height: 32, width: 48, fps: 8 });
    expect((await readVideo(join(out, '00043_comparison.mp4'))).frames).toBe(9);

    // Stopped while the second of the two that are left is on its way.
    let stopped = false;
    const interrupted = await dwm([...args, '--skip-existing'], {
      watch: (child, stderr) => {
        if (stopped || !stderr.includes('clip 2 of 2: 00055')) return;
        stopped = true;
        child.kill('SIGINT');
      },
    });
    expect(interrupted.code).toBe(130);
    expect(ownLines(interrupted).at(-1)).toBe(
      'interrupted; finished files are kept, nothing is half written',
    );
    const now = await files(out);
    expect(now).toEqual(
      [...outputsOf('00017'), ...outputsOf('00043'), 'metadata.json', 'metadata.shard-1-of-2.json'].sort(),
    );

    const finished = await dwm([...args, '--skip-existing', '--json']);
    expect(finished.code, finished.stderr).toBe(0);
    expect(JSON.parse(finished.stdout).clips).toMatchObject([{ video: join(out, '00055.mp4') }]);
    expect(await files(out)).toEqual([...now, ...outputsOf('00055')].sort());
    const { clips } = JSON.parse(await readFile(join(out, 'metadata.json'), 'utf8'));
    expect(Object.keys(clips)).toEqual(['00017.mp4', '00055.mp4']);
    // A list adds the place of the clip in all of it to the seed.
    expect([clips['00017.mp4'].seed, clips['00055.mp4'].seed]).toEqual([42, 44]);

    const nothing = await dwm([...args, '--skip-existing']);
    expect([nothing.code, nothing.stdout]).toEqual([0, 'nothing to do\n']);
  }, 240_000);

  test('a folder for each clip, in chunks of a job array', async () => {
    const out = join(folder, 'per-sample');
    const layout = ['--output-dir', out, '--dataset-output-layout', 'per_sample'];
    const { code, stderr } = await dwm([...list, ...layout], {
      env: { SLURM_ARRAY_TASK_ID: '2', SLURM_ARRAY_TASK_COUNT: '3' },
    });
    expect(code, stderr).toBe(0);
    await access(join(out, '00055/00055.mp4'));
    await access(join(out, '00055/metadata.chunk-2-of-3.json'));
    expect(
      (await readdir(out, { recursive: true, withFileTypes: true })).filter((x) => x.isFile()),
    ).toHaveLength(9);
  }, 120_000);

  test('a text encoder: a prompt of 10,000 words is cut with a warning', async () => {
    const model = join(folder, 'with-text');
    for (const part of ['transformer', 'vae', 'scheduler'])
      await cp(join(golden, part), join(model, part), { recursive: true });
    await cp(join(shared, 'fixtures/t5/text_encoder'), join(model, 'text_encoder'), { recursive: true });
    await mkdir(join(model, 'tokenizer'));
    await writeFile(join(model, 'tokenizer/tokenizer.json'), JSON.stringify(tinyTokenizer()));
    const prompt = join(folder, 'long.txt');
    await writeFile(prompt, Array.from({ length: 10_000 }, (_, i) => `word${i}`).join(' '));
    const video = join(shared, 'realworld/videos/00017.mp4');
    const out = join(folder, 'text');
    const args = [
      'generate',
      '--model',
      model,
      '--video',
      video,
      '--output-dir',
      out,
      '--num-inference-steps',
      '1',
    ];
    const result = await dwm([...args, ...SIZE, '--prompt-file', prompt]);
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toMatch(/^warning: the prompt has \d{5} tokens; the model reads the first 8$/m);
    const clip = await readVideo(join(out, '00017.mp4'));
    expect(clip).toMatchObject({ frames: 9, height: 32, width: 48 });
  }, 120_000);
});

/** Letters and digits, one piece each, and the three that T5 needs. */
function tinyTokenizer() {
  const special = ['<pad>', '</s>', '<unk>'];
  const letters = ['▁', ...'abcdefghijklmnopqrstuvwxyz0123456789'].map((piece) => [piece, -3]);
  return {
    added_tokens: special.map((content, id) => ({ id, content, special: true })),
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
    model: { type: 'Unigram', unk_id: 2, vocab: [...special.map((piece) => [piece, 0]), ...letters] },
  };
}
