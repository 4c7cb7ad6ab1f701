import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TINY_MODEL, type TinyRun, tinyOptions, tinyRun } from './testing.ts';
import { train } from './trainer.ts';

let tiny: TinyRun;
beforeAll(async () => {
  tiny = await tinyRun();
});
afterAll(() => rm(tiny.folder, { recursive: true }));

const CAUSAL = { block_frames: 1, window: 2, sink: 1 };

function options(output: string, training: object, model = TINY_MODEL) {
  const config = tiny.config(output, { max_train_steps: 2, ...training });
  return tinyOptions({ ...config, model: { ...config.model, base_model_name_or_path: model } });
}

const causal = (output: string) =>
  options(output, { mode: 'causal', causal: CAUSAL, causal_history_timestep: 200 });

test('a model learns to look back only, to the same bits when stopped, and goes on from its own output', async () => {
  const { losses, model } = await train(causal('whole'));
  const config = JSON.parse(await readFile(join(model!, 'transformer/config.json'), 'utf8'));
  expect(config).toMatchObject({ causal: CAUSAL, num_layers: 2 });

  const controller = new AbortController();
  const first = await train({
    ...causal('stopped'),
    signal: controller.signal,
    onEvent: ({ kind }) => kind === 'step' && controller.abort(),
  });
  expect(first).toMatchObject({ step: 1, stopped: true });
  expect((await train({ ...causal('stopped'), resume: 'latest' })).losses).toEqual(losses);

  const own = { mode: 'self_forcing', max_train_steps: 1 };
  const taught = { ...own, mode: 'causal', causal_history_timestep: 0 };
  const [[ownLoss], [taughtLoss]] = [
    (await train(options('own', own, model))).losses,
    (await train(options('taught', taught, model))).losses,
  ];
  expect(ownLoss.loss).not.toBe(taughtLoss.loss);
  await expect(train(options('both', { mode: 'full' }, model))).rejects.toThrow(
    'causal: this model looks back only, and mode full trains those that look both ways',
  );
}, 300_000);

test('how a model is to look back must be said', async () => {
  await expect(train(options('unsaid', { mode: 'self_forcing' }))).rejects.toThrow(
    'causal: is missing, which mode self_forcing needs; name training.causal',
  );
}, 60_000);
