import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Device, InvalidArgumentError, OutOfMemoryError } from '@dwm/core-tensor';
import { bytesSource, type ModelFolder } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { targetOf } from '../memory/devices.ts';
import { normals } from '../pipeline/noise.ts';
import { DwmPipeline } from '../pipeline/pipeline.ts';
import { readModelShapes } from '../pipeline/plan-model.ts';
import type { Video } from '../video/video.ts';
import { LiveBusyError, LiveStoppedError, NotCausalError } from './errors.ts';
import { planLive } from './plan-live.ts';
import { DwmStream } from './stream.ts';

const golden = join(import.meta.dirname, '../../tests/golden/pipeline_e2e');
const CONFIG = 'transformer/config.json';
const [HEIGHT, WIDTH, TOKENS] = [16, 32, 3];

let device: Device;
let folder: ModelFolder;
let causal: ModelFolder;
let pipeline: DwmPipeline;
beforeAll(async () => {
  device = await openNodeDevice();
  folder = await openDirectory(golden);
  const own = JSON.parse(await readFile(join(golden, CONFIG), 'utf8'));
  const json = { ...own, causal: { block_frames: 1, window: 2, sink: 1 } };
  causal = {
    ...{ name: folder.name, exists: (path) => folder.exists(path) },
    open: async (path) =>
      path === CONFIG ? bytesSource(path, new TextEncoder().encode(JSON.stringify(json))) : folder.open(path),
  };
  pipeline = await DwmPipeline.load(device, causal);
}, 60_000);
afterAll(() => device?.destroy());

const video = (frames: number, shade: (pixel: number) => number): Video => ({
  ...{ frames, height: HEIGHT, width: WIDTH },
  data: Uint8Array.from({ length: frames * HEIGHT * WIDTH * 3 }, (_, i) => shade(i)),
});
const scene = video(1, (i) => (i * 7) % 251);
/** Hands of block `nth`, of so many frames. */
const hands = (nth: number, frames: number) => video(frames, (i) => (i * (nth + 3)) % 199);
const promptOf = (model: DwmPipeline, seed = 3) => ({
  ...{ prompt: normals(seed, 0, TOKENS * model.network.textWidth), tokens: TOKENS },
});
const SETTINGS = { seed: 7, numInferenceSteps: 1, guidanceScale: 1, composite: true };
const open = (model: DwmPipeline) => DwmStream.open(model, { ...SETTINGS, scene, prompt: promptOf(model) });

test('a model that looks both ways is refused', async () => {
  const both = await DwmPipeline.load(device, folder);
  await expect(open(both)).rejects.toThrow(NotCausalError);
  both.destroy();
});

test('blocks follow each other in memory that does not grow, again and in forks alike', {
  timeout: 120_000,
}, async () => {
  const before = device.memory.allocated;
  const shapes = await readModelShapes(causal);
  const needs = {
    height: HEIGHT,
    width: WIDTH,
    numInferenceSteps: 1,
    precision: 'f32',
    composite: true,
  } as const;
  const plan = (budget: number) =>
    planLive(shapes, { ...targetOf(device), budget }, { ...needs, moves: false, textTokens: TOKENS });
  const planned = plan(Number.POSITIVE_INFINITY).bytes;
  expect(() => plan(0.5 * planned)).toThrow(
    /live needs .* MB at least, but the budget is .*; choose `memory: /,
  );
  device.memory.peak = before;
  const live = await open(pipeline);
  const next = (stream: DwmStream, nth: number) => stream.push({ hands: hands(nth, stream.nextFrames) });
  expect(live.nextFrames).toBe(1);
  const made = [await next(live, 0)];
  expect(live.nextFrames).toBe(4);
  const settled = device.memory.allocated;
  made.push(await next(live, 1));
  expect(Math.abs(device.memory.peak / planned - 1)).toBeLessThan(0.05);

  const one = device.memory.allocated;
  const fork = await live.fork();
  const size = device.memory.allocated - one;
  const other = await live.fork({ seed: 8 });
  // One that finds too little memory, early or late, leaves nothing behind.
  const both = device.memory.allocated;
  for (const room of [size / 2, size - 1]) {
    Object.assign(device.memory, { limit: both + room });
    await expect(live.fork()).rejects.toThrow(OutOfMemoryError);
    expect(device.memory.allocated).toBe(both);
  }
  Object.assign(device.memory, { limit: Number.POSITIVE_INFINITY });
  // Two under way at once, and no third.
  const two = [next(live, 2), next(live, 3)];
  await expect(next(live, 4)).rejects.toThrow(LiveBusyError);
  made.push(...(await Promise.all(two)));
  expect([...new Set(made.slice(1).map(({ frames }) => frames))]).toEqual([4]);
  expect(new Set(made.map(({ data }) => data.join())).size).toBe(4);
  expect((await next(fork, 2)).data).toEqual(made[2].data);
  expect((await next(other, 2)).data).not.toEqual(made[2].data);
  for (const stream of [fork, other]) await stream.destroy();
  await live.ready;
  expect(device.memory.allocated).toBe(settled);

  await live.reset();
  expect((await next(live, 0)).data).toEqual(made[0].data);
  // A camera that moves and finds everything as it was changes nothing but the last bit.
  const frames = live.nextFrames;
  const still = video(frames, (i) => scene.data[i % scene.data.length]);
  const { data } = await live.push({ hands: hands(1, frames), static: still });
  expect(Math.max(...data.map((value, i) => Math.abs(value - made[1].data[i])))).toBeLessThanOrEqual(1);

  await expect(live.push({ hands: hands(0, 3) })).rejects.toThrow(InvalidArgumentError);
  await expect(live.push({ hands: hands(2, 4) }, AbortSignal.abort())).rejects.toThrow('aborted');
  expect((await next(live, 2)).frames).toBe(4);

  // A fork waits for the pushes before it, and none goes on from one that failed.
  const stop = new AbortController();
  const late = [live.push({ hands: hands(3, 4) }, stop.signal), live.fork()];
  stop.abort();
  const reasons = (await Promise.allSettled(late)).map((one) => one.status === 'rejected' && one.reason);
  expect(reasons[0]).toBe(stop.signal.reason);
  expect(reasons[1]).toBeInstanceOf(LiveStoppedError);
  const begun = live.reset();
  expect(live.nextFrames).toBe(1);
  await begun;
  await live.destroy();
  await expect(next(live, 3)).rejects.toThrow(LiveStoppedError);
  expect(device.memory.allocated).toBe(before);
});

test('a whole clip is that of its blocks, clip after clip without compiling again', async () => {
  const before = device.memory.allocated;
  const other = video(1, (i) => (i * 11) % 241);
  const repeated = ({ data }: Video) => video(5, (i) => data[i % data.length]);
  const live = await open(pipeline);
  const blocks = async () => {
    const made = [await live.push({ hands: hands(0, 1) }), await live.push({ hands: hands(1, 4) })];
    return made.flatMap(({ data }) => [...data]);
  };
  const first = await blocks();
  await live.reset({ scene: other, prompt: promptOf(pipeline, 4), seed: 9 });
  const second = await blocks();
  await expect(live.reset({ scene: { ...other, width: 16, height: 32 } })).rejects.toThrow(/scene.*32x16/);
  await live.destroy();

  const handVideo: Video = {
    ...{ frames: 5, height: HEIGHT, width: WIDTH },
    data: Uint8Array.from([...hands(0, 1).data, ...hands(1, 4).data]),
  };
  const optionsFor = (still: Video) => ({
    ...{ ...SETTINGS, staticVideo: repeated(still), handVideo, prompt: promptOf(pipeline) },
    ...{ numFrames: 5, height: HEIGHT, width: WIDTH, onWarning: () => {} },
  });
  const generate = (still: Video, more: object) => pipeline.generate({ ...optionsFor(still), ...more });
  const steps: number[] = [];
  const made = await generate(scene, { onProgress: ({ step }: { step?: number }) => steps.push(step!) });
  expect([...made.data]).toEqual(first);
  expect(made).toMatchObject({ frames: 5, latentShape: [1, 2, expect.any(Number), 2, 4] });
  expect(steps).toEqual([1, 1, 2]);
  const compiled = device.memory.allocated;
  // Two at once share the run, one after the other.
  const both = [generate(other, { prompt: promptOf(pipeline, 4), seed: 9 }), generate(scene, {})];
  expect((await Promise.all(both)).map(({ data }) => [...data])).toEqual([second, first]);
  expect(device.memory.allocated).toBe(compiled);
  await expect(generate(scene, { guidanceScale: 2 })).rejects.toThrow(/guidanceScale/);
  await expect(generate(scene, { strength: 0.5 })).rejects.toThrow(/strength/);
  const conditions = await pipeline.condition(optionsFor(scene));
  await expect(pipeline.sample(conditions, optionsFor(scene))).rejects.toThrow(/looks back only/);
  conditions.destroy();
  await expect(generate(scene, { denoised: new Float32Array(0) })).rejects.toThrow(InvalidArgumentError);
  pipeline.destroy();
  await new Promise((resolve) => setTimeout(resolve));
  expect(device.memory.allocated).toBeLessThan(before);
});
