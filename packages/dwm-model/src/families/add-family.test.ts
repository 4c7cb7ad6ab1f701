/** A family as docs/add-a-model.md has it, of one weight: its prediction is the noisy latents times that. */
import { join } from 'node:path';
import { type Device, DeviceTensor, mul, reshape, slice, spec, type Tensor } from '@dwm/core-tensor';
import { bytesSource, type ModelFolder, openCheckpoint, writeSafetensors } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COGVIDEOX } from '../cogvideox/family.ts';
import { DwmPipeline } from '../pipeline/pipeline.ts';
import { parseExperiment } from '../training/config.ts';
import { readJson } from '../weights/config.ts';
import { loadParameters } from '../weights/parameters.ts';
import type { Weights } from '../weights/weights.ts';
import type { DenoisingNetwork, ModelFamily } from './family.ts';
import { addFamily, familyOf } from './index.ts';

const CHANNELS = 16;
const timesteps: number[] = [];

function network(weights: Weights): DenoisingNetwork {
  const predict = (own: Weights, hidden: Tensor, time: Tensor) => {
    const [batch, frames, , height, width] = hidden.shape;
    const gain = mul(own.get('gain'), reshape(time, [1]));
    return mul(
      slice(hidden, 2, 0, CHANNELS),
      reshape(
        gain,
        Array.from([batch, frames, CHANNELS, height, width], () => 1),
      ),
    );
  };
  return {
    ...{ width: CHANNELS, inputChannels: 2 * CHANNELS, latentChannels: CHANNELS },
    ...{ textTokens: 1, textWidth: 2, patch: 1, framePatch: 1 },
    told: { time: spec([1, 1]) },
    tell(timestep) {
      timesteps.push(timestep);
      return { time: Float32Array.of(timestep / 1000) };
    },
    forward: (hidden, _, { time }) => predict(weights, hidden, time),
    blocks: 0,
    blockPrefix: (index) => `blocks.${index}.`,
    parts: () => ({
      begin: (own, hidden, _, { time }) => ({ x: predict(own, hidden, time) }),
      block: (_, __, { x }) => x,
      end: (_, { x }) => x,
    }),
  };
}

const FAKE: ModelFamily = {
  // Files, sampler and VAE are CogVideoX's.
  ...COGVIDEOX,
  name: 'Fake',
  pipelineTypes: ['fake_hand_concat'],
  defaults: {
    ...COGVIDEOX.defaults,
    ...{ numFrames: 5, height: 16, width: 32, numInferenceSteps: 3, guidanceScale: 1 },
  },
  async recognises(folder) {
    if (!(await folder.exists('transformer/config.json'))) return false;
    const { json } = await readJson(folder, 'transformer/config.json');
    return (json as { _class_name: string })._class_name === 'FakeTransformer';
  },
  async loadTransformer(device, folder, _, onProgress) {
    const checkpoint = await openCheckpoint(folder, 'transformer/diffusion_pytorch_model');
    try {
      const specs = { gain: { shape: [1] } };
      return { config: {}, parameters: await loadParameters(device, checkpoint, specs, { onProgress }) };
    } finally {
      await checkpoint.close();
    }
  },
  network: ({ parameters }) => network(parameters),
  checkParts: () => {},
  async condition(tools, source) {
    const made = await COGVIDEOX.condition(tools, source);
    made.condition.destroy();
    const { frames, height, width } = tools.latent;
    const hands = new Float32Array(frames * CHANNELS * height * width);
    const shape = [1, frames, CHANNELS, height, width];
    return { ...made, condition: DeviceTensor.from(tools.device, hands, shape, 'f32') };
  },
};

/** The golden model with the fake's transformer in place of its own. */
async function fakeModel(gain: number): Promise<ModelFolder> {
  const golden = await openDirectory(join(import.meta.dirname, '../../tests/golden/pipeline_e2e'));
  const files = new Map([
    ['transformer/config.json', new TextEncoder().encode(JSON.stringify({ _class_name: 'FakeTransformer' }))],
    [
      'transformer/diffusion_pytorch_model.safetensors',
      writeSafetensors(new Map([['gain', { dtype: 'F32', shape: [1], data: Float32Array.of(gain) }]])),
    ],
  ]);
  const own = (path: string) => path.startsWith('transformer/');
  return {
    name: golden.name,
    exists: async (path) => (own(path) ? files.has(path) : golden.exists(path)),
    open: async (path) => (own(path) ? bytesSource(path, files.get(path)!) : golden.open(path)),
  };
}

let device: Device;
beforeAll(async () => {
  addFamily(FAKE);
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

test('a family that is added is recognised, generates with its own defaults, and has its type', async () => {
  const clip = { data: new Uint8Array(5 * 16 * 32 * 3).fill(90), frames: 5, height: 16, width: 32 };
  const latentsOf = async (gain: number) => {
    const pipeline = await DwmPipeline.load(device, await fakeModel(gain));
    expect(pipeline.family.name).toBe('Fake');
    const { data, exact } = await pipeline.generate({
      exact: true,
      ...{ staticVideo: clip, handVideo: clip, onWarning: () => {} },
      prompt: { prompt: new Float32Array(2), tokens: 1 },
    });
    pipeline.destroy();
    expect(data.length).toBeGreaterThanOrEqual(clip.data.length);
    const { latents } = exact!;
    expect(latents.every(Number.isFinite)).toBe(true);
    return latents;
  };
  const [none, some] = [await latentsOf(0), await latentsOf(0.5)];
  expect(new Set(timesteps).size).toBe(3);
  expect(none).not.toEqual(some);
  const experiment = {
    model: { base_model_name_or_path: 'm' },
    data: { dataset_file: 'list.txt' },
    pipeline: { type: 'fake_hand_concat' },
  };
  expect(parseExperiment(experiment, 'x.yaml').pipeline.type).toBe('fake_hand_concat');
});

test('folders of the other families stay theirs', async () => {
  const golden = await openDirectory(join(import.meta.dirname, '../../tests/golden/pipeline_e2e'));
  expect((await familyOf(golden)).name).toBe('CogVideoX');
});
