import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { type Frames, writeVideo } from '@dwm/media/node';
import { afterAll, expect, test } from 'vitest';
import { findChromium, launchChromium, NO_CHROMIUM } from '../../../../tools/chromium/browser.ts';
import { checkModel, Generator } from '../eval/models.ts';
import { DEFAULT_MODEL } from '../generate/default-model.ts';
import { createReporter } from '../report.ts';
import { dwm, ownLines, temporaryFolder } from '../testing.ts';

const golden = resolve(import.meta.dirname, '../../../../packages/dwm-model/tests/golden/pipeline_e2e');
const root = await temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

/** A square that moves right over a texture, in colour `square`. */
function clip(square: number[] | undefined, ground: boolean, frames = 9): Frames {
  const [height, width] = [32, 48];
  const data = new Uint8Array(frames * height * width * 3);
  for (let f = 0, i = 0; f < frames; f++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i += 3) {
        const inside = square && y > 8 && y < 24 && x > 4 + 2 * f && x < 20 + 2 * f;
        data.set(inside ? square : ground ? [90 + (x % 8) * 4, 100, 90 + (y % 8) * 4] : [0, 0, 0], i);
      }
  return { data, frames, height, width, fps: 8 };
}

async function writeSample(stem: string): Promise<void> {
  const sample = join(root, 'a');
  for (const folder of ['videos', 'videos_static', 'videos_hands', 'pred'])
    mkdirSync(join(sample, folder), { recursive: true });
  await writeVideo(join(sample, 'videos', `${stem}.mp4`), clip([200, 140, 110], true));
  await writeVideo(join(sample, 'videos_static', `${stem}.mp4`), clip(undefined, true));
  await writeVideo(join(sample, 'videos_hands', `${stem}.mp4`), clip([200, 100, 100], false));
  await writeVideo(join(sample, 'pred', `${stem}.mp4`), clip([180, 120, 100], true));
}
await writeSample('x');
await writeSample('y');
const list = join(root, 'list.txt');
writeFileSync(list, 'a/videos/x.mp4\na/videos/y.mp4\n');
// Nobody's hands are in these pictures, and to look for them takes a while.
const clips = ['--data-root', root, '--dataset-file', list];
const data = [...clips, '--no-pck'];
const out = join(root, 'out');

test('a list of predictions, with baselines, in every form of result', async () => {
  const ran = await dwm(['eval', ...data, '--pred', join(root, 'a/pred'), '--out', out]);
  expect(ran.code, ran.stderr).toBe(0);
  const { methods } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8'));
  expect(methods.map(({ name }: { name: string }) => name)).toEqual([
    'pred',
    'copy of the static video',
    'hand render on it',
  ]);
  const [pred, still, hands] = methods.map(({ summary }: { summary: object }) => summary);
  expect(pred.psnrChanged.mean).toBeGreaterThan(still.psnrChanged.mean + 3);
  expect([pred.outcome.mean, still.outcome.mean]).toEqual([1, 0]);
  expect(pred.handIou.mean).toBeGreaterThan(0.7);
  expect(still.handIou.mean).toBe(0);
  expect(pred.gradient.mean).toBeGreaterThan(still.gradient.mean);
  expect(pred.gradientEnergy.mean).toBeLessThan(1.2);
  expect(hands.psnr.count).toBe(2);
  expect(ran.stdout).toMatch(/copy of the static video .* ±/);
  expect(readFileSync(join(out, 'results.txt'), 'utf8')).toMatch(
    /^\nGT: .*\/videos\/.*\.mp4\n {2}PRED: .*\tPSNR: \d+\.\d{4}\tSSIM: /,
  );
  expect(readFileSync(join(out, 'methods.txt'), 'utf8')).toMatch(/== pred ==\nVideos: 2\nPSNR: \d+\.\d{4} /);
}, 120_000);

test('hands are looked for on the processor where it is asked, and only there', async () => {
  const args = ['eval', ...clips, '--pred', join(root, 'a/pred'), '--limit', '1', '--num-frames', '1'];
  const pred = async (more: readonly string[], env: Record<string, string>) => {
    const ran = await dwm([...args, '--out', join(root, 'pck'), ...more], { env });
    expect(ran.code, ran.stderr).toBe(0);
    const { methods } = JSON.parse(readFileSync(join(root, 'pck/results.json'), 'utf8'));
    return { said: ran.stdout + ran.stderr, clip: methods[0].clips[0] };
  };
  const { said, clip } = await pred([], { DWM_ADAPTER: 'swiftshader' });
  expect(said).toContain('hand PCK is left out without a GPU');
  expect(clip).not.toHaveProperty('handPck');
  // Nobody's hands are in these pictures.
  expect((await pred(['--pck'], {})).clip.handPck).toBeNull();
}, 240_000);

test.skipIf(!findChromium())(
  `the report opens and asks for nothing (${NO_CHROMIUM})`,
  async () => {
    expect(existsSync(join(out, 'report.html'))).toBe(true);
    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      const asked: string[] = [];
      const complaints: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', ({ message }) => complaints.push(message));
      const url = pathToFileURL(join(out, 'report.html')).href;
      await page.goto(url);
      expect(await page.locator('tbody tr').count()).toBe(3);
      expect(await page.locator('.strip').count()).toBe(2);
      expect(await page.locator('svg').count()).toBeGreaterThan(8);
      expect(asked.filter((address) => !address.startsWith('data:'))).toEqual([url]);
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  },
  120_000,
);

test('a model makes the clips, its ablations and the round trip', async () => {
  const folder = join(root, 'model-out');
  const args = ['--json', 'eval', ...data, '--model', golden, '--ablations', '--out', folder];
  args.push('--prompt-embeds', join(golden, 'io.safetensors'), '--guidance-scale', '1');
  args.push('--num-inference-steps', '1', '--limit', '2');
  const ran = await dwm(args, { env: { DWM_TUNE: 'off' } });
  expect(ran.code, ran.stderr).toBe(0);
  expect(JSON.parse(ran.stdout).methods.map(({ name }: { name: string }) => name)).toEqual([
    'pipeline_e2e',
    'pipeline_e2e, no static',
    'pipeline_e2e, shuffled hands',
    'pipeline_e2e, no hands',
    'copy of the static video',
    'hand render on it',
    'VAE round trip (pipeline_e2e)',
  ]);
  const { settings } = JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8'));
  expect(settings.sampling).toEqual({
    [golden]: { numInferenceSteps: 1, guidanceScale: 1, composite: false },
  });
}, 240_000);

test('without hands dwm-tiny gives the static video to the pixel, unless told not to composite', async () => {
  const still = clip(undefined, true);
  const black = clip(undefined, false);
  const device = await openNodeDevice();
  /** Values that are not the static video's. */
  const unlike = async (composite?: boolean) => {
    const { signal } = new AbortController();
    const model = await checkModel(DEFAULT_MODEL, { seed: 1, composite });
    const generator = await Generator.load(device, model, still, createReporter(true), signal);
    const made = await generator.generate(still, black, { prompt: '', seedOffset: 0 });
    generator.pipeline.destroy();
    return made.clip.data.filter((value, i) => value !== still.data[i]).length;
  };
  expect(await unlike()).toBe(0);
  expect(await unlike(false)).toBeGreaterThan(still.data.length / 4);
  device.destroy();
}, 120_000);

test('wrong input is one line that names it', async () => {
  await writeVideo(join(root, 'short.mp4'), clip(undefined, true, 5));
  const truth = join(root, 'a/videos/x.mp4');
  const cases: [string[], RegExp][] = [
    [['--pred-video', 'x.mp4'], /^error: --truth-video: is required/],
    [['--truth-video', truth], /^error: --pred-video: is required/],
    [['--pred', root], /^error: --dataset-file: is required with --pred/],
    [data, /^error: --pred: is required: a folder of videos/],
    [
      [...data, '--pred', root],
      /x\.mp4: no such file; expected the video of x, or a folder of its frames \(--pred\)$/,
    ],
    [
      ['--pred-video', 'no.mp4', '--truth-video', truth],
      /^error: no\.mp4: no such file; expected the video of x\.mp4, or a folder of its frames \(--pred-video\)$/,
    ],
    [
      ['--pred-video', join(root, 'short.mp4'), '--truth-video', truth],
      /short\.mp4 has 5 frames of 48x32, but .*x\.mp4 has 9 frames of 48x32/,
    ],
    [
      ['--pred-video', truth, '--truth-video', truth, '--lpips', join(root, 'a')],
      /^error: --lpips: .* holds no network/,
    ],
  ];
  for (const [args, message] of cases) {
    const ran = await dwm(['eval', ...args, '--out', join(root, 'never')]);
    expect(ran.code).toBe(1);
    expect(ownLines(ran)).toHaveLength(1);
    expect(ownLines(ran)[0]).toMatch(message);
  }
}, 240_000);
