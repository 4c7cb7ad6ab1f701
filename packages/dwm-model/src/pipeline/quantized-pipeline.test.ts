/** The golden run with a transformer of whole numbers: written by `quantizeModel`, and from a GGUF file. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { openNodeDevice, readSafetensors } from '@dwm/core-tensor/node';
import { toGguf, writeGguf } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPipeline } from '../../tests/fixtures/pipeline.ts';
import { quantizeModel } from '../node/quantize/quantize-model.ts';
import { isLinearWeight } from '../weights/quantized.ts';

const golden = join(import.meta.dirname, '../../tests/golden/pipeline_e2e');
const WEIGHTS = 'transformer/diffusion_pytorch_model';
const CASE = ['case.json', 'io.safetensors', 'cfg6.safetensors'];

let device: Device;
let made: string;
beforeAll(async () => {
  device = await openNodeDevice();
  made = await mkdtemp(join(tmpdir(), 'dwm-quantized-'));
});
afterAll(async () => {
  device?.destroy();
  await rm(made, { recursive: true, force: true });
});

/** Relative errors of a folder's latents and video, to those of the original in f32. */
async function errors(folder: string) {
  for (const file of CASE) await cp(join(golden, file), join(folder, file));
  const checks = await checkPipeline(device, folder, 'f32');
  const of = (what: string) => checks.find(({ name }) => name === `cfg6: ${what}`)!.error;
  return { latents: of('latents'), video: of('video') };
}

test('int8 is within 1e-2 of the golden video', async () => {
  const folder = join(made, 'int8');
  await quantizeModel(golden, folder, { dtype: 'int8' });
  const { latents, video } = await errors(folder);
  for (const error of [latents, video]) {
    expect(error).toBeGreaterThan(1e-4);
    expect(error).toBeLessThan(1e-2);
  }
});

test('a transformer in Q8_0 from GGUF is within 1e-2 of it', async () => {
  const folder = join(made, 'gguf');
  await cp(golden, folder, { recursive: true });
  const tensors = await readSafetensors(join(golden, `${WEIGHTS}.safetensors`));
  // As city96's converter does: names stay, and so do vectors and the projection of patches.
  const list = [...tensors].map(([name, tensor]) =>
    toGguf(name, tensor, isLinearWeight(name, tensor.shape) && tensor.shape[1] % 32 === 0),
  );
  await writeFile(join(folder, `${WEIGHTS}.gguf`), writeGguf(list, { 'general.architecture': 'cogvideox' }));
  await rm(join(folder, `${WEIGHTS}.safetensors`));
  const { video } = await errors(folder);
  expect(video).toBeGreaterThan(1e-4);
  expect(video).toBeLessThan(1e-2);
});
