/** What validation during a training asks of the model, and what it writes. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DwmPipeline, GenerateOptions } from '@dwm/dwm-model';
import { parseExperiment, readDataset } from '@dwm/dwm-model/node';
import { readVideo, writeVideo } from '@dwm/media/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { outputNames, validate } from './validation.ts';

const SIZE = { frames: 5, height: 16, width: 32 };
let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  await mkdir(join(folder, 's/prompts_rewrite'), { recursive: true });
  await writeFile(join(folder, 's/prompts_rewrite/1.txt'), ' A hand. \n');
  await writeFile(join(folder, 'list.txt'), 's/videos/1.mp4\ns/videos/2.mp4\n');
});
afterAll(() => rm(folder, { recursive: true }));

/** What validation reads of a family. */
const family = {
  defaults: {
    ...{ takes: 'in-time', fit: 'stretch', seedOfClip: 'add-place', tiling: true, readsTiling: true },
  },
  lacks: {},
};

async function run(data: object = {}, training: object = {}, of: object = family) {
  const config = parseExperiment(
    {
      experiment: { name: 'v', output_dir: join(folder, 'out') },
      model: { base_model_name_or_path: 'm' },
      data: {
        ...{ data_root: folder, dataset_file: 'list.txt', height_buckets: 16, width_buckets: 32 },
        ...data,
      },
      training: { seed: 7, ...training, custom_settings: { max_num_frames: 5, enable_tiling: true } },
    },
    'v.yaml',
  );
  const asked: GenerateOptions[] = [];
  // Each frame of a clip is as bright as its number.
  const bytes = SIZE.height * SIZE.width * 3;
  const pipeline = {
    hasTextEncoder: true,
    family: of,
    settings: { numInferenceSteps: 50, guidanceScale: 6 },
    generate: async (options: GenerateOptions) => {
      asked.push(options);
      return { ...SIZE, data: new Uint8Array(SIZE.frames * bytes).fill(127) };
    },
  } as unknown as DwmPipeline;
  const samples = await readDataset(join(folder, 'list.txt'), config.data);
  const made = await validate(
    config,
    pipeline,
    samples,
    500,
    async (path, choose) => {
      if (path.includes('videos/2')) throw new Error('no truth');
      const picked = choose(11);
      const data = new Uint8Array(picked.length * bytes);
      for (const [i, frame] of picked.entries()) data.fill(10 * frame, i * bytes, (i + 1) * bytes);
      return { data, ...SIZE, frames: picked.length };
    },
    new AbortController().signal,
  );
  return { made, asked };
}

test('clips are loaded as training loads them; steps, guidance and tiles as the file says; files by the original names', async () => {
  const { made, asked } = await run();
  expect(made).toBe(join(folder, 'out/validation/step-000500'));
  expect((await readdir(made)).sort()).toEqual([
    ...['1.mp4', '1.txt', '1_comparison.mp4', '1_contact_sheet.png', '1_full_comparison.mp4'],
    ...['2.mp4', '2.txt', '2_contact_sheet.png', '2_full_comparison.mp4'],
  ]);
  expect(await readFile(join(made, '1.txt'), 'utf8')).toBe('A hand.');
  // A caption that is not there is the empty prompt.
  expect(await readFile(join(made, '2.txt'), 'utf8')).toBe('');
  expect(await readVideo(join(made, '1.mp4'))).toMatchObject({ ...SIZE, fps: 8 });
  const [first, second] = asked;
  expect(first).toMatchObject({
    ...{ prompt: 'A hand.', numFrames: 5, height: 16, width: 32, numInferenceSteps: 50, guidanceScale: 6 },
    ...{ dynamicGuidance: false, tiling: true, seed: 7, mask: 'none' },
  });
  expect(second.seed).toBe(8);
  // Every second frame of eleven, the first five of them: not the last, nor the first five.
  const { staticVideo } = first;
  const shown = Array.from({ length: 5 }, (_, f) => staticVideo.data[f * SIZE.height * SIZE.width * 3] / 10);
  expect(shown).toEqual([0, 2, 4, 6, 8]);
}, 120_000);

test('the keys of the file say steps, guidance, its rise, and the rate', async () => {
  const { made, asked } = await run({
    ...{ validation_num_inference_steps: 3, validation_guidance_scale: 1.5 },
    ...{ validation_use_dynamic_cfg: true, validation_fps: 4 },
  });
  expect(asked[0]).toMatchObject({ numInferenceSteps: 3, guidanceScale: 1.5, dynamicGuidance: true });
  expect((await readVideo(join(made, '1.mp4'))).fps).toBe(4);
}, 120_000);

test('of a family that takes first frames: these as they are, one seed, a mask, no tiles but its own', async () => {
  for (const name of ['videos_static', 'videos_hands']) {
    await mkdir(join(folder, 's', name), { recursive: true });
    for (const stem of ['1', '2']) {
      // Square, and shorter than the clip.
      const clip = {
        data: new Uint8Array(3 * 16 * 16 * 3).fill(200),
        frames: 3,
        height: 16,
        width: 16,
        fps: 30,
      };
      await writeVideo(join(folder, 's', name, `${stem}.mp4`), clip);
    }
  }
  const { defaults } = family;
  const { asked } = await run(
    {},
    {},
    {
      defaults: {
        ...defaults,
        takes: 'first',
        fit: 'letterbox',
        seedOfClip: 'same',
        tiling: false,
        readsTiling: false,
      },
      lacks: { 'mask none': 'it needs one' },
    },
  );
  expect(asked).toHaveLength(2);
  for (const { staticVideo, ...options } of asked) {
    expect(options).toMatchObject({ seed: 7, mask: 'zeros', tiling: false });
    // The pipeline puts the bars around it.
    expect(staticVideo).toMatchObject({ frames: 5, height: 16, width: 16 });
  }
}, 120_000);

test('clips of one stem have names of their own', () => {
  const names = outputNames([
    { name: 'a/videos/1.mp4' },
    { name: 'b/videos/1.mp4' },
    { name: 'b/videos/2.mp4' },
  ] as never);
  expect(names).toEqual(['a_videos_1', 'b_videos_1', '2']);
});
