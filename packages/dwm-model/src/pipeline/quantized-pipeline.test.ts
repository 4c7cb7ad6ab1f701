/** The golden run with a transformer of whole numbers: written by `quantizeModel`, and from a GGUF file. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, randomReference } from '@dwm/core-tensor';
import { type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { relativeError, toGguf, writeGguf } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPipeline } from '../../tests/fixtures/pipeline.ts';
import { ALL_RESIDENT } from '../memory/choice.ts';
import { quantizeModel } from '../node/quantize/quantize-model.ts';
import { isLinearWeight } from '../weights/quantized.ts';
import { DwmPipeline, type LoadOptions } from './pipeline.ts';

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

/** The golden model in whole numbers, and in the floats that these stand for. */
async function pairOf(dtype: 'int8' | 'e4m3'): Promise<readonly [packed: string, floats: string]> {
  const [packed, floats] = ['packed', 'floats'].map((name) => join(made, `${name}-${dtype}`));
  for (const folder of [packed, floats]) await cp(golden, folder, { recursive: true });
  const file = `${WEIGHTS}.safetensors`;
  const [stored, meant] = [new Map<string, SafetensorsTensor>(), new Map<string, SafetensorsTensor>()];
  for (const [name, tensor] of await readSafetensors(join(golden, file))) {
    const { shape } = tensor;
    const values = toFloat32(tensor);
    if (!isLinearWeight(name, shape)) {
      for (const file of [stored, meant]) file.set(name, tensor);
      continue;
    }
    // One scale for all: 448 is the largest number of e4m3.
    const most = dtype === 'int8' ? 127 : 448;
    const scale = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0) / most;
    const data =
      dtype === 'int8'
        ? Int8Array.from(values, (value) => Math.round(value / scale))
        : Uint8Array.from(values, (value) => nearestE4m3(value / scale));
    const read = dtype === 'int8' ? Number : e4m3Value;
    stored.set(name, { dtype: dtype === 'int8' ? 'I8' : 'F8_E4M3', shape, data });
    stored.set(`${name}_scale`, { dtype: 'F32', shape: [1], data: Float32Array.of(scale) });
    const meaning = Float32Array.from(data, (code) => Math.fround(scale) * read(code));
    meant.set(name, { dtype: 'F32', shape, data: meaning });
  }
  await saveSafetensors(join(packed, file), stored);
  await saveSafetensors(join(floats, file), meant);
  return [packed, floats];
}

/** Of the 126 positive numbers of e4m3, in the order of their codes. */
const E4M3 = Float32Array.from({ length: 127 }, (_, code) => e4m3Value(code));
function e4m3Value(code: number): number {
  const [exponent, fraction] = [(code >> 3) & 15, code & 7];
  const size = exponent === 0 ? (fraction / 8) * 2 ** -6 : (1 + fraction / 8) * 2 ** (exponent - 7);
  return code & 128 ? -size : size;
}
function nearestE4m3(value: number): number {
  const size = Math.abs(value);
  let code = E4M3.findIndex((one) => one >= size);
  if (code < 0) code = 126;
  if (code > 0 && size - E4M3[code - 1] < E4M3[code] - size) code--;
  return value < 0 ? code | 128 : code;
}

/** A LoRA of the first blocks' queries and second layers. */
async function loraAt(folder: string, seed: number): Promise<string> {
  const tensors = new Map<string, SafetensorsTensor>();
  const draw = (shape: [number, number], stream: number): SafetensorsTensor => ({
    dtype: 'F32',
    shape,
    data: Float32Array.from(
      randomReference({ count: shape[0] * shape[1], distribution: 'normal', stream }, [seed, 1]),
      (value) => value / 4,
    ),
  });
  const shapes = await readSafetensors(join(golden, `${WEIGHTS}.safetensors`));
  for (const [i, module] of ['transformer_blocks.0.attn1.to_q', 'transformer_blocks.1.ff.net.2'].entries()) {
    const [outputs, inputs] = shapes.get(`${module}.weight`)!.shape;
    tensors.set(`transformer.${module}.lora_A.weight`, draw([4, inputs], 2 * i));
    tensors.set(`transformer.${module}.lora_B.weight`, draw([outputs, 4], 2 * i + 1));
  }
  await mkdir(folder, { recursive: true });
  await saveSafetensors(join(folder, 'pytorch_lora_weights.safetensors'), tensors);
  return folder;
}

test.each([
  ['int8', 'TeaCache', { teaCache: { relL1Thresh: 1e9, numSkipStartSteps: 1, coefficients: [1, 0] } }],
  ['e4m3', 'the first-block cache', { firstBlockCache: { threshold: 1e9 } }],
] as const)(
  '%s weights with %s, two LoRAs and streamed blocks: as the floats that they stand for',
  async (dtype, _, cache) => {
    const loras = await Promise.all(
      [1, 2].map(async (seed) => ({
        folder: await openDirectory(await loraAt(join(made, `lora-${dtype}-${seed}`), seed)),
        weight: 1 / seed,
      })),
    );
    const memory = { ...ALL_RESIDENT, residentBlocks: 1 } as const;
    const prompt = { prompt: new Float32Array(8 * 32).fill(0.1), tokens: 8 };
    const clip = { data: new Uint8Array(5 * 32 * 32 * 3).map((_, i) => (i * 7) % 251), frames: 5 };
    const video = { ...clip, height: 32, width: 32 };
    const run = async (folder: string, own: LoadOptions) => {
      const pipeline = await DwmPipeline.load(device, await openDirectory(folder), own);
      const { exact, calculated } = await pipeline.generate({
        ...{ staticVideo: video, handVideo: video, prompt, numFrames: 5, height: 32, width: 32 },
        ...{ numInferenceSteps: 3, guidanceScale: 1, exact: true, onWarning: () => {}, ...cache },
      });
      const { quantized } = pipeline;
      pipeline.destroy();
      return { latents: exact!.latents, calculated, quantized };
    };
    const [packed, floats] = await pairOf(dtype);
    const [got, wanted] = [await run(packed, { lora: loras, memory }), await run(floats, { lora: loras })];
    expect([got.quantized > 0, wanted.quantized]).toEqual([true, 0]);
    expect(got.calculated).toEqual(wanted.calculated);
    expect(got.calculated).toContain(false);
    expect(relativeError(got.latents, wanted.latents)).toBeLessThan(1e-4);
    const without = await run(floats, {});
    expect(relativeError(without.latents, wanted.latents)).toBeGreaterThan(1e-3);
  },
);

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
