/** `dwm demo`, and `dwm generate` without `--model`, on a model of the default one's format with random weights. */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { initializeModel, writeHalfModel } from '@dwm/dwm-model/node';
import { type Frames, readPng, readVideo, writeVideo } from '@dwm/media/node';
import { Command } from 'commander';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { addDemo } from './demo.ts';
import { addGenerate } from './generate.ts';

const BASE = join(import.meta.dirname, '../../../../configs/dwm-tiny/base');
const SIZE = { frames: 9, height: 32, width: 48, fps: 8 };

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await temporaryFolder();
  await cp(BASE, at('configs'), { recursive: true });
  const edit = async (file: string, values: object) => {
    const json = JSON.parse(await readFile(at(file), 'utf8'));
    await writeFile(at(file), JSON.stringify({ ...json, ...values }));
  };
  await edit('configs/transformer/config.json', {
    num_layers: 1,
    num_attention_heads: 2,
    attention_head_dim: 16,
  });
  await edit('configs/vae/config.json', { block_out_channels: [8, 8, 8] });
  await initializeModel(at('configs'), at('model'), 1);
  await writeHalfModel(at('model'), at('dwm-half'));
  const made = { width: SIZE.width, height: SIZE.height, num_frames: SIZE.frames, num_inference_steps: 2 };
  await writeFile(at('dwm-half/generation.json'), JSON.stringify({ ...made, guidance_scale: 1 }));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs a command in this process, with `model` as the default one. */
async function dwm(model: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const program = new Command('dwm').option('--json').exitOverride();
  addGenerate(program, model);
  addDemo(program, model);
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const error = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const text = (spy: typeof out) => spy.mock.calls.map(([part]) => String(part)).join('');
  try {
    await program.parseAsync(args, { from: 'user' });
    return { stdout: text(out), stderr: text(error) };
  } finally {
    out.mockRestore();
    error.mockRestore();
  }
}

test('demo: one room and caption with two hands, the videos, one sheet, and PSNR of both and of what costs nothing', async () => {
  const ran = await dwm(at('dwm-half'), '--json', 'demo', '--out', at('demo'), '--seed', '1000002');
  const { video, contactSheet, clips, seed, action, caption, psnr } = JSON.parse(ran.stdout);
  expect(await readVideo(video)).toMatchObject({ ...SIZE, width: 4 * SIZE.width });
  type Paths = { video: string; fullComparison: string };
  for (const { video: one } of clips as Paths[]) expect(await readVideo(one)).toMatchObject(SIZE);
  // static | hands | generated | truth: one room, other hands and another end.
  const [acts, idle] = await Promise.all((clips as Paths[]).map((paths) => readVideo(paths.fullComparison)));
  const differences = [0, 0, 0, 0];
  for (let i = 0; i < acts.data.length; i++)
    if (Math.abs(acts.data[i] - idle.data[i]) > 40)
      differences[Math.floor((Math.floor(i / 3) % (4 * SIZE.width)) / SIZE.width)]++;
  expect(differences[0]).toBe(0);
  expect(differences[1]).toBeGreaterThan(100);
  expect(differences[3]).toBeGreaterThan(100);
  const { width, height } = await readPng(contactSheet);
  expect(width).toBeGreaterThan(1400);
  expect(height).toBeGreaterThan(7 * 120);
  expect(seed).toBeGreaterThanOrEqual(1_000_002);
  expect(action).toBe('pull-drawer');
  expect(caption).toMatch(/hand.*drawer/);
  // Random weights draw noise, and a drawer that opens differs from one that does not.
  for (const { generated, nothingHappens, pastedHands } of [psnr.acts, psnr.touchesNothing]) {
    expect(generated.wholeFrame).toBeLessThan(nothingHappens.wholeFrame);
    expect(nothingHappens.changedRegion).toBeLessThan(nothingHappens.wholeFrame);
    expect(nothingHappens.wholeFrame).toBeLessThan(60);
    expect(pastedHands.wholeFrame).not.toBe(nothingHappens.wholeFrame);
  }
  expect(psnr.acts.nothingHappens.wholeFrame).not.toBe(psnr.touchesNothing.nothingHappens.wholeFrame);
  await expect(dwm(at('dwm-half'), 'demo', '--action', 'touch-nothing')).rejects.toThrow(/Allowed choices/);
}, 120_000);

test('generate without --model: the default one, at the size and with the steps it was made for, and a line that says so', async () => {
  const clip = (value: number): Frames => ({
    ...SIZE,
    data: new Uint8Array(SIZE.frames * SIZE.height * SIZE.width * 3).fill(value),
  });
  await writeVideo(at('s.mp4'), clip(120));
  await writeVideo(at('h.mp4'), clip(0));
  const run = ['generate', '--static', at('s.mp4'), '--hands', at('h.mp4'), '--prompt', 'a hand waits'];
  const { stderr } = await dwm(at('dwm-half'), ...run, '--out', at('g/a.mp4'));
  expect(stderr.split('\n')).toContain(
    'no --model is given: the model is dwm-half, made for 9 frames of 48x32',
  );
  expect(await readVideo(at('g/a.mp4'))).toMatchObject(SIZE);
  const { clips } = JSON.parse(await readFile(at('g/metadata.json'), 'utf8'));
  expect(clips['a.mp4']).toMatchObject({
    ...{ model: at('dwm-half'), numFrames: 9, height: 32, width: 48 },
    ...{ numInferenceSteps: 2, guidanceScale: 1, fps: 8 },
  });
}, 120_000);

test('a default model that is not there is one line, and nothing is written', async () => {
  const line = /nowhere: the default model is not there; restore it with "git checkout -- models\/dwm-tiny"/;
  await expect(dwm(at('nowhere'), 'demo', '--out', at('x'))).rejects.toThrow(line);
  const videos = ['--static', at('s.mp4'), '--hands', at('h.mp4'), '--prompt', 'x', '--out', at('x/a.mp4')];
  await expect(dwm(at('nowhere'), 'generate', ...videos)).rejects.toThrow(line);
  expect(await readdir(folder)).not.toContain('x');
});
