import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, DeviceTensor, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice, readSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeVideo } from '../video/codec.ts';
import { toBytes, toDevice } from '../video/transfer.ts';
import { compositeStatic } from './composite.ts';
import type { GenerateOptions, Progress } from './options.ts';
import { DwmPipeline } from './pipeline.ts';
import { readModelShapes } from './plan-model.ts';

const golden = join(import.meta.dirname, '../../tests/golden/pipeline_e2e');

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

describe('damaged model folders end in one line, with nothing left on the device', () => {
  type Header = Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>;

  /** A copy of the golden model. */
  async function copied(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'dwm-model-'));
    for (const part of ['transformer', 'vae', 'scheduler'])
      await cp(join(golden, part), join(folder, part), { recursive: true });
    return folder;
  }

  async function refusal(folder: string): Promise<string> {
    const before = device.memory.allocated;
    const error = await DwmPipeline.load(device, await openDirectory(folder)).then(
      () => expect.fail('was accepted'),
      (e) => e,
    );
    expect(error).toBeInstanceOf(InvalidFileError);
    expect(error.message.split('\n')).toHaveLength(1);
    expect(device.memory.allocated).toBe(before);
    return error.message.replaceAll(`${folder}/`, '').replace(`${folder}: `, '');
  }

  const WEIGHTS = 'diffusion_pytorch_model.safetensors';

  /** Rewrites the header of a weight file around the same data. */
  async function relabel(file: string, change: (header: Header, names: string[]) => void, extra = 0) {
    const bytes = await readFile(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const header: Header = JSON.parse(bytes.subarray(8, 8 + length).toString());
    const names = Object.keys(header).filter((name) => name !== '__metadata__');
    names.sort((a, b) => header[a].data_offsets[0] - header[b].data_offsets[0]);
    change(header, names);
    const json = Buffer.from(JSON.stringify(header));
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(json.length));
    await writeFile(file, Buffer.concat([prefix, json, bytes.subarray(8 + length), Buffer.alloc(extra)]));
  }

  describe.each(['transformer', 'vae'])('%s weights', (part) => {
    test.each<[string, (header: Header, names: string[]) => void, RegExp]>([
      [
        'an offset behind the end',
        (h, names) => {
          const entry = h[names.at(-1)!];
          entry.data_offsets = entry.data_offsets.map((x) => x + 1e9);
        },
        /tensor ".*" leaves a hole before it: it begins at data offset \d+, expected \d+/,
      ],
      [
        'two tensors in one place',
        (h, [a, , b]) => Object.assign(h[b], { ...h[a] }),
        /tensor ".*" overlaps the tensor before it: it begins at data offset \d+, expected \d+/,
      ],
      [
        'a shape of 2^53',
        (h, [a]) => (h[a].shape = [2 ** 53]),
        /shape must be a list of whole numbers from 0 to 2\^53 - 1/,
      ],
      [
        'a shape of 2^40 x 2^40',
        (h, [a]) => (h[a].shape = [2 ** 40, 2 ** 40]),
        /has more than 2\^53 - 1 bits of F32/,
      ],
      [
        'a negative offset',
        (h, [a]) => (h[a].data_offsets[0] = -4),
        /data_offsets must be two whole numbers/,
      ],
      [
        'f16 over the bytes of f32',
        (h, [a]) => (h[a].dtype = 'F16'),
        /F16 of shape .* takes \d+ bytes, but data_offsets span \d+/,
      ],
      [
        'whole numbers for weights',
        (h, [a]) => (h[a].dtype = 'I32'),
        /tensor .* has dtype I32, expected F32, F16 or BF16/,
      ],
      ['an unknown dtype', (h, [a]) => (h[a].dtype = 'F31'), /dtype "F31" is unknown; expected one of/],
      [
        'a shape of the right size but not the right one',
        (h, [a]) => h[a].shape.push(1),
        /tensor .* has shape \[.*,1\], expected \[.*\]; does config.json belong to these weights\?/,
      ],
      [
        'a name of another network',
        (h, [a]) => {
          h.other = h[a];
          delete h[a];
        },
        /tensor .* is missing; expected shape \[/,
      ],
    ])('%s', async (_, change, problem) => {
      const folder = await copied();
      await relabel(join(folder, part, WEIGHTS), change);
      const message = await refusal(folder);
      expect(message).toMatch(problem);
      expect(message.startsWith(`${part}/${WEIGHTS}: `)).toBe(true);
      await expect(openDirectory(folder).then(readModelShapes), 'the plan').rejects.toThrow(problem);
    });

    test('a tensor too many', async () => {
      const folder = await copied();
      const add = (header: Header, names: string[]) => {
        const end = header[names.at(-1)!].data_offsets[1];
        header['lora.weight'] = { dtype: 'F32', shape: [2], data_offsets: [end, end + 8] };
      };
      await relabel(join(folder, part, WEIGHTS), add, 8);
      expect(await refusal(folder)).toBe(
        `${part}/${WEIGHTS}: tensor lora.weight is not part of this network; does config.json belong to these weights?`,
      );
    });

    test('bytes after the last tensor', async () => {
      const folder = await copied();
      await relabel(join(folder, part, WEIGHTS), () => {}, 8);
      expect(await refusal(folder)).toMatch(/the tensors end at byte \d+, but the file has \d+ bytes/);
    });

    test.each([0, 5, 100, 20_000])('cut to %d bytes', async (bytes) => {
      const folder = await copied();
      await truncate(join(folder, part, WEIGHTS), bytes);
      expect(await refusal(folder)).toMatch(new RegExp(`^${part}/${WEIGHTS}: truncated: `));
    });

    test('no safetensors at all', async () => {
      const folder = await copied();
      await writeFile(
        join(folder, part, WEIGHTS),
        'version https://git-lfs.github.com/spec/v1\noid sha256:0\n',
      );
      expect(await refusal(folder)).toMatch(
        'is a pointer of Git LFS, not the file itself; run `git lfs pull`',
      );
      await rm(join(folder, part, WEIGHTS));
      expect(await refusal(folder)).toMatch(
        `holds neither ${part === 'vae' ? '' : 'transformer/'}${WEIGHTS}`,
      );
    });
  });

  test.each<[file: string, problem: string, change: (config: Record<string, unknown>) => unknown]>([
    [
      'transformer/config.json',
      'num_layer: unknown key; known keys are num_attention_heads',
      (c) => ({ ...c, num_layer: 2 }),
    ],
    ['transformer/config.json', 'num_layers: is missing; expected number', ({ num_layers, ...c }) => c],
    [
      'transformer/config.json',
      'num_layers: expected number, received string',
      (c) => ({ ...c, num_layers: '2' }),
    ],
    ['transformer/config.json', 'tensor transformer_blocks.1', (c) => ({ ...c, num_layers: 1 })],
    [
      'transformer/config.json',
      'tensor transformer_blocks.2.norm1.linear.weight is missing',
      (c) => ({ ...c, num_layers: 3 }),
    ],
    [
      'transformer/config.json',
      'in_channels: expected original_in_channels + condition_channels = 49, got 48',
      (c) => ({ ...c, in_channels: 48 }),
    ],
    ['transformer/config.json', 'expected a JSON object of settings', (c) => [c]],
    ['vae/config.json', 'tiles: unknown key; known keys are in_channels', (c) => ({ ...c, tiles: 2 })],
    [
      'vae/config.json',
      'scaling_factor: expected number, received string',
      (c) => ({ ...c, scaling_factor: 'x' }),
    ],
    [
      'vae/config.json',
      'norm_num_groups: 3 groups do not divide the 8',
      (c) => ({ ...c, norm_num_groups: 3 }),
    ],
    [
      'scheduler/scheduler_config.json',
      '_class_name is "HeunDiscreteScheduler", expected CogVideoXDDIMScheduler |',
      (c) => ({ ...c, _class_name: 'HeunDiscreteScheduler' }),
    ],
    [
      'scheduler/scheduler_config.json',
      '_class_name is missing, expected CogVideoXDDIMScheduler |',
      ({ _class_name, ...c }) => c,
    ],
    [
      'scheduler/scheduler_config.json',
      'beta_strat is not a field of a diffusers scheduler; remove it',
      (c) => ({ ...c, beta_strat: 0.1 }),
    ],
    [
      'scheduler/scheduler_config.json',
      'beta_start is null, expected number',
      (c) => ({ ...c, beta_start: null }),
    ],
    ['scheduler/scheduler_config.json', 'expected a JSON object', () => 3],
  ])('%s: %s', async (file, problem, change) => {
    const folder = await copied();
    const config = JSON.parse(await readFile(join(folder, file), 'utf8'));
    await writeFile(join(folder, file), JSON.stringify(change(config)));
    const message = await refusal(folder);
    expect(message).toContain(problem);
    if (!problem.startsWith('tensor')) expect(message.startsWith(`${file}: `)).toBe(true);
  });

  test.each(['transformer/config.json', 'vae/config.json', 'scheduler/scheduler_config.json'])(
    '%s missing, empty, or no JSON',
    async (file) => {
      const folder = await copied();
      await writeFile(join(folder, file), '');
      expect(await refusal(folder)).toContain(`${file}: not valid JSON`);
      await writeFile(join(folder, file), '{ "a": 1,');
      expect(await refusal(folder)).toContain(`${file}: not valid JSON`);
      await rm(join(folder, file));
      expect(await refusal(folder)).toBe(`${file}: no such file or folder`);
    },
  );
});

describe('a run', () => {
  let pipeline: DwmPipeline;
  let options: GenerateOptions;
  beforeAll(async () => {
    pipeline = await DwmPipeline.load(device, await openDirectory(golden));
    const io = await readSafetensors(join(golden, 'io.safetensors'));
    const clip = ({ data, shape: [frames, height, width] }: SafetensorsTensor) => ({
      data: data as Uint8Array,
      frames,
      height,
      width,
    });
    options = {
      staticVideo: clip(io.get('in.static_u8')!),
      handVideo: clip(io.get('in.hand_u8')!),
      prompt: {
        prompt: toFloat32(io.get('in.prompt_embeds')!),
        negative: toFloat32(io.get('in.negative_prompt_embeds')!),
        tokens: 8,
      },
      numFrames: 9,
      height: 32,
      width: 48,
      numInferenceSteps: 2,
    };
  });
  afterAll(() => pipeline?.destroy());

  test('gives the same bits again for a seed, and others for another', async () => {
    const exact = true;
    const one = await pipeline.generate({ ...options, exact, seed: 5 });
    const two = await pipeline.generate({ ...options, exact, seed: 5 });
    const other = await pipeline.generate({ ...options, exact, seed: 6 });
    expect(two).toEqual(one);
    expect(two.exact).toBeDefined();
    expect(other.exact!.latents).not.toEqual(one.exact!.latents);
    expect(other.data).not.toEqual(one.data);
  });

  test.each([
    [1, 1],
    [5, 8],
    [13, 16],
  ])('%i frames asked for decode to %i, all of them whole', async (numFrames, frames) => {
    const seen = await pipeline.generate({ ...options, numFrames, numInferenceSteps: 1 });
    expect(seen).toMatchObject({ frames, height: 32, width: 48 });
    expect(seen.data).toHaveLength(frames * 32 * 48 * 3);
    expect(seen.latentShape).toEqual([1, (numFrames - 1) / 4 + 1, 16, 4, 6]);
  });

  test('composites what it decodes over the static video, whoever encodes that', async () => {
    const { numFrames: frames = 0, height = 0, width = 0 } = options;
    const size = { frames, height, width };
    const staticLatents = await pipeline.encodeStatic(options.staticVideo, size);
    // Two steps of forty from the static video on: most of it is still seen.
    const near = { ...options, numInferenceSteps: 40, strength: 0.05 };
    const made = await pipeline.generate({ ...near, composite: true, exact: true });
    const latents = DeviceTensor.from(device, made.exact!.latents, made.latentShape, 'f32');
    const decoded = await decodeVideo(pipeline.vae, latents, { tiling: true });
    const scene = await decodeVideo(pipeline.vae, staticLatents, { tiling: true });
    const still = await toDevice(device, options.staticVideo, size);
    const expected = await compositeStatic(device, decoded, scene, still, 4);
    expect(await toBytes(expected)).toMatchObject({ data: made.data });
    expect((await pipeline.generate(near)).data).not.toEqual(made.data);
    const { data: whole } = await pipeline.generate({ ...options, composite: true });
    expect((await pipeline.generate({ ...options, composite: true, staticLatents })).data).toEqual(whole);
    for (const tensor of [staticLatents, latents, decoded, scene, still, expected]) tensor.destroy();
  });

  test('the videos go up once, their bytes and the latents come down once, and steps cross nothing', async () => {
    const { traffic } = device;
    const count = async (numInferenceSteps: number, more: Partial<GenerateOptions> = {}) => {
      const before = { ...traffic };
      await pipeline.generate({ ...options, numInferenceSteps, ...more });
      return {
        uploads: traffic.uploads - before.uploads,
        uploadedBytes: traffic.uploadedBytes - before.uploadedBytes,
        downloads: traffic.downloads - before.downloads,
        downloadedBytes: traffic.downloadedBytes - before.downloadedBytes,
      };
    };
    const [few, more] = [await count(2), await count(5)];
    const video = 9 * 32 * 48 * 3;
    const sources = options.staticVideo.data.length + options.handVideo.data.length;
    const latents = 4 * 3 * 16 * 4 * 6;
    // How much is finite of both encoded videos, of the latents after the first step and the last, and of the video.
    const counts = 4 * (4 * 3 * 16 + 9 * 32);
    const down = { downloads: 7, downloadedBytes: video + latents + counts };
    expect(few).toMatchObject(down);
    expect(more).toMatchObject({ ...down, uploads: few.uploads });
    // Noise of the posterior and of the latents, and two prompts.
    const given = sources + 2 * latents + 4 * 2 * 8 * 32;
    expect(few.uploadedBytes).toBeGreaterThan(given);
    // The rest is a row for each step.
    expect(few.uploadedBytes - given).toBeLessThan(2048);
    expect(few.uploads).toBe(9);
    // A static video whose latents are known stays where it is.
    const size = { frames: 9, height: 32, width: 48 };
    const staticLatents = await pipeline.encodeStatic(options.staticVideo, size);
    const known = await count(2, { staticLatents });
    staticLatents.destroy();
    expect(few.uploadedBytes - known.uploadedBytes).toBe(options.staticVideo.data.length);
    expect(known.uploads).toBe(8);
  });

  test('condition, sample and decode alone give what a run gives', async () => {
    const { data } = await pipeline.generate({ ...options, seed: 3 });
    const conditions = await pipeline.condition({ ...options, seed: 3 });
    const latents = await pipeline.sample(conditions, { ...options, seed: 3 });
    const video = await pipeline.decode(latents, {});
    expect((await toBytes(video)).data).toEqual(data);
    for (const made of [conditions, latents, video]) made.destroy();
  });

  test('says once what about its videos is odd, and nothing of videos as they should be', async () => {
    const said: string[] = [];
    const run = (change: Partial<GenerateOptions>) => {
      said.length = 0;
      const onWarning = (line: string) => said.push(line);
      return pipeline.generate({ ...options, numInferenceSteps: 1, ...change, onWarning });
    };
    const patch = (frames: number, height: number, width: number, colour: readonly number[]) => ({
      data: Uint8Array.from({ length: frames * height * width * 3 }, (_, i) =>
        Math.floor(i / 3) % width < 5 ? colour[i % 3] : 0,
      ),
      ...{ frames, height, width },
    });
    await run({ handVideo: patch(9, 32, 48, [128, 204, 128]) });
    expect(said).toEqual([]);
    await run({ handVideo: patch(9, 32, 48, [0, 0, 0]) });
    expect(said).toEqual(['the hand video is black throughout: the model is shown no hands']);
    await run({ handVideo: patch(5, 32, 32, [128, 204, 128]) });
    expect(said).toEqual([
      expect.stringMatching(
        /^the static video has \d+ frames and the hand video 5; each is stretched over the 9/,
      ),
      expect.stringMatching(/^the hand video is 32x32 and the static video .*; each is resized on its own/),
    ]);
  });

  test('goes through its stages in order, every step with a preview, and leaves only weights', async () => {
    const before = device.memory.allocated;
    const seen: Progress[] = [];
    await pipeline.generate({ ...options, composite: true, onProgress: (progress) => seen.push(progress) });
    expect([...new Set(seen.map(({ stage }) => stage))]).toEqual(['text', 'encode', 'denoise', 'decode']);
    for (const stage of ['encode', 'denoise', 'decode']) {
      const done = seen.filter((progress) => progress.stage === stage).map((progress) => progress.done);
      expect(done[0]).toBe(0);
      expect(done).toEqual([...done].sort((a, b) => a - b));
      expect(done.at(-1)).toBeCloseTo(1, 6);
    }
    expect(seen.filter(({ preview }) => preview).map(({ step }) => step)).toEqual([1, 2]);
    expect(device.memory.allocated).toBe(before);
  });

  test('stops where it is when aborted, and frees what it used', async () => {
    const before = device.memory.allocated;
    for (const stop of ['encode', 'denoise', 'decode']) {
      const controller = new AbortController();
      const run = pipeline.generate({
        ...options,
        signal: controller.signal,
        onProgress: ({ stage }) => stage === stop && controller.abort(),
      });
      await expect(run).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
      expect(device.memory.allocated).toBe(before);
    }
  });

  test.each<[string, Partial<GenerateOptions>, string]>([
    ['10 frames', { numFrames: 10 }, 'numFrames: expected 4k + 1 frames (1, 5, … 49), got 10'],
    ['0 frames', { numFrames: 0 }, 'numFrames: expected 4k + 1'],
    ['height 40', { height: 40 }, 'height: expected a multiple of 16, got 40'],
    ['width 0', { width: 0 }, 'width: expected a multiple of 16, got 0'],
    ['seed -1', { seed: -1 }, 'seed: expected a whole number from 0 to 2^53 - 1, got -1'],
    ['a width of 1e9', { width: 1e9 }, 'width: expected at most 16384 pixels, got 1000000000'],
    ['a height that is no number', { height: Number.NaN }, 'height: expected a multiple of 16, got NaN'],
    ['endless width', { width: Number.POSITIVE_INFINITY }, 'width: expected a multiple of 16, got Infinity'],
    [
      '1e9 + 1 frames',
      { numFrames: 1e9 + 1 },
      '1000000001 frames of 48x32 take 18432.0 GB, expected at most',
    ],
    [
      'a film in 16k',
      { numFrames: 25, width: 16384, height: 16384 },
      'expected at most 2.1 GB; take fewer frames',
    ],
    [
      'frames that are no number',
      { numFrames: Number.NaN },
      'numFrames: expected 4k + 1 frames (1, 5, … 49), got NaN',
    ],
    ['-1 steps', { numInferenceSteps: -1 }, 'got -1'],
    ['half a step', { numInferenceSteps: 0.5 }, 'got 0.5'],
    ['1e9 steps', { numInferenceSteps: 1e9 }, 'got 1000000000'],
    [
      'guidance that is no number',
      { guidanceScale: Number.NaN },
      'guidanceScale: expected a number from 0 up, got NaN',
    ],
    ['no strength', { strength: 0 }, 'strength: expected a number in (0, 1], got 0'],
    ['a strength of NaN', { strength: Number.NaN }, 'strength: expected a number in (0, 1], got NaN'],
    ['a seed of NaN', { seed: Number.NaN }, 'seed: expected a whole number from 0 to 2^53 - 1, got NaN'],
    ['a prompt', { prompt: 'pour tea' }, 'prompt: this model folder has no text_encoder'],
    [
      'short embeddings',
      { prompt: { prompt: new Float32Array(7), tokens: 8 } },
      'prompt_embeds: expected [1, 8, 32]',
    ],
    [
      'no negative embeddings',
      { prompt: { prompt: new Float32Array(256), tokens: 8 } },
      'negative_prompt_embeds is missing',
    ],
    ['latents of another size', { draws: { latents: new Float32Array(7) } }, 'latents: expected 1152 values'],
    ['compositing over a mask', { composite: true, mask: 'none' }, 'composite: goes with mask "zeros" only'],
    [
      'a clip without frames',
      { staticVideo: { data: new Uint8Array(0), frames: 0, height: 8, width: 8 } },
      'static: the video has no frames',
    ],
    [
      'a clip cut short',
      { handVideo: { data: new Uint8Array(9), frames: 1, height: 2, width: 2 } },
      'hands: expected 12 values for [1, 2, 2, 3], got 9',
    ],
    [
      'a clip of no size',
      { handVideo: { data: new Uint8Array(0), frames: 1, height: 2, width: Number.NaN } },
      'hands: width: expected a whole number from 1 up, got NaN',
    ],
    [
      'a clip that claims more than it has',
      { staticVideo: { data: new Uint8Array(12), frames: 1e6, height: 1e5, width: 1e5 } },
      'static: expected 30000000000000000 values for',
    ],
    [
      'a mask cut short',
      { mask: { data: new Uint8Array(3), frames: 9, height: 2, width: 2 } },
      'mask: expected 36 values for [9, 2, 2], got 3',
    ],
  ])('refuses %s before anything is made for it', async (_, change, message) => {
    device.memory.peak = device.memory.allocated;
    const before = device.memory.peak;
    const error = await pipeline.generate({ ...options, ...change }).then(
      () => expect.fail('was accepted'),
      (e) => e,
    );
    expect(device.memory.peak).toBe(before);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(error.message).toContain(message);
    expect(error.message.split('\n')).toHaveLength(1);
  });
});
