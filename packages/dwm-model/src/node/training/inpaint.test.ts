import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile, randomReference, spec } from '@dwm/core-tensor';
import { openCheckpoint } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadTransformer } from '../../pipeline/load-transformer.ts';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import { type ExperimentConfig, parseExperiment } from '../../training/config.ts';
import { dwmObjective } from '../../training/objective.ts';
import { readTransformerConfig, transformerParameters } from '../../transformer/index.ts';
import { readJson } from '../../weights/config.ts';
import { loadParameters } from '../../weights/parameters.ts';
import { TINY_MODEL, type TinyRun, tinyOptions, tinyRun } from './testing.ts';
import { train } from './trainer.ts';

let tiny: TinyRun;
beforeAll(async () => {
  tiny = await tinyRun();
  // The golden model's VAE, and a prior of 33 channels that has no weights yet.
  const base = join(tiny.folder, 'base');
  for (const part of ['vae', 'scheduler'])
    await cp(join(TINY_MODEL, part), join(base, part), { recursive: true });
  const json = JSON.parse(await readFile(join(TINY_MODEL, 'transformer/config.json'), 'utf8'));
  await mkdir(join(base, 'transformer'));
  await writeFile(
    join(base, 'transformer/config.json'),
    JSON.stringify({ ...json, in_channels: 33, original_in_channels: null, condition_channels: null }),
  );
});
afterAll(() => rm(tiny.folder, { recursive: true }));

const config = (output: string, training: object = {}): ExperimentConfig => {
  const given = tiny.config(output, { mode: 'inpaint', hand_dropout_prob: 0, ...training });
  const model = { base_model_name_or_path: join(tiny.folder, 'base'), from_scratch: true };
  return parseExperiment({ ...given, model }, 'inpaint.yaml');
};

test('a prior from scratch: stopped and resumed it has the same bits, and the pipeline takes it', async () => {
  const whole = await train(tinyOptions(config('whole')));
  const given = config('stopped');
  const controller = new AbortController();
  await train({
    ...tinyOptions(given),
    signal: controller.signal,
    onEvent: (event) => event.kind === 'step' && event.step === 3 && controller.abort(),
  });
  const resumed = await train({ ...tinyOptions(given), resume: 'latest' });
  expect(resumed.losses).toEqual(whole.losses);
  const file = 'transformer/diffusion_pytorch_model.safetensors';
  expect(await readFile(join(resumed.model!, file))).toEqual(await readFile(join(whole.model!, file)));

  const device = await openNodeDevice();
  const pipeline = await DwmPipeline.load(device, await openDirectory(whole.model!));
  expect(pipeline.network.inputChannels).toBe(49);
  device.destroy();

  // DWM trains on from it.
  const next = tiny.config('dwm', { mode: 'full', max_train_steps: 1 });
  const model = { base_model_name_or_path: whole.model! };
  const dwm = await train(tinyOptions(parseExperiment({ ...next, model }, 'dwm.yaml')));
  expect(dwm.step).toBe(1);
}, 300_000);

test("step 0 of DWM is the prior: hands change nothing, and the prior's output is DWM's", async () => {
  const device = await openNodeDevice();
  // Trained, so that its output is no longer zero.
  const folder = await openDirectory(join(tiny.folder, 'whole/model'));
  const widened = await loadTransformer(device, folder, undefined, () => {});
  const { json, file } = await readJson(folder, 'transformer/config.json');
  const priorConfig = readTransformerConfig(json, file);
  const checkpoint = await openCheckpoint(folder, 'transformer/diffusion_pytorch_model');
  const prior = await loadParameters(device, checkpoint, transformerParameters(priorConfig));
  await checkpoint.close();
  const latents = [1, 2, 16, 2, 4];
  const shapes = {
    video: latents,
    static: latents,
    hand: latents,
    noise: latents,
    text: [1, 8, 32],
    time: [1, 64],
  };
  const values: Record<string, Float32Array> = { levels: Float32Array.of(0.6, 0.8, 1.5) };
  for (const [stream, [name, shape]] of Object.entries(shapes).entries()) {
    const count = shape.reduce((a, b) => a * b);
    values[name] = Float32Array.from(randomReference({ count, distribution: 'normal', stream }, [8, 8]));
  }
  const inputs = Object.fromEntries(
    Object.entries({ ...shapes, levels: [1, 3] }).map(([name, shape]) => [name, spec(shape)]),
  );
  const program = await compile(device, inputs, (x) => {
    const { hand, ...rest } = x as never as Parameters<typeof dwmObjective>[3];
    return {
      dwm: dwmObjective(widened.config, widened.parameters, 0.7, { ...rest, hand }).output,
      prior: dwmObjective(priorConfig, prior, 0.7, rest).output,
    };
  });
  await program.run(values as never);
  const [dwm, own] = [await read(program.outputs.dwm), await read(program.outputs.prior)];
  expect(Math.hypot(...own)).toBeGreaterThan(1e-3);
  const error = Math.hypot(...dwm.map((value, i) => value - own[i])) / Math.hypot(...own);
  expect(error).toBeLessThan(1e-6);
  await program.run({ ...values, hand: new Float32Array(values.hand.length) } as never);
  expect(await read(program.outputs.dwm)).toEqual(dwm);
  device.destroy();
}, 60_000);

const read = async (tensor: { read(): Promise<ArrayLike<number>> }) => Float32Array.from(await tensor.read());

test('a base that has channels for hands already is refused', async () => {
  const given = tiny.config('refused', { mode: 'inpaint', hand_dropout_prob: 0 });
  await expect(train(tinyOptions(given))).rejects.toThrow(/in_channels: mode inpaint .* 33 channels, got 49/);
});
