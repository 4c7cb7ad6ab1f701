import { DeviceTensor } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { Posterior } from '../vae/index.ts';
import { refine, startSearch } from './cross-entropy.ts';
import { type Distance, latentDistance, wantedChange } from './distance.ts';
import { probabilitiesOfBest, rankActions, type WorldModel } from './rank-actions.ts';

const SIZE = { frames: 3, height: 16, width: 16 };
const clip = (value: (f: number, y: number, x: number) => number, frames = SIZE.frames) => {
  const data = new Uint8Array(frames * 768);
  for (let i = 0; i < data.length; i++)
    data[i] = value(Math.floor(i / 768), Math.floor((i % 768) / 48), Math.floor((i % 48) / 3));
  return { ...SIZE, frames, data };
};

/** A model that moves the scene as bright as the hands are, and counts what it is asked. */
function fakeModel() {
  const asked = { encodes: 0, freed: 0, seeds: [] as number[] };
  const model = {
    encodeStatic: async () => {
      asked.encodes++;
      return { destroy: () => asked.freed++ };
    },
    generate: async ({
      staticVideo,
      handVideo,
      seed,
    }: Record<string, { data: Uint8Array }> & { seed: number }) => {
      asked.seeds.push(seed);
      const data = staticVideo.data.map((v, i) => Math.min(255, v + handVideo.data[i] + seed / 4));
      return { data, ...SIZE };
    },
  };
  return { model: model as unknown as WorldModel, asked };
}

const meanSquare: Distance = async (a, { goal: b, region }) => {
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) if (region[Math.floor(i / 3)]) sum += (a.data[i] - b.data[i]) ** 2;
  return sum;
};

test('the candidate that reaches the goal comes first; the scene is encoded once; seeds are shared', async () => {
  const { model, asked } = fakeModel();
  const hands = (bright: number) => clip((f, y) => (f === 2 && y < 8 ? bright : 0));
  const candidates = [0, 90, 40].map((bright) => ({ name: `${bright}`, handVideo: hands(bright) }));
  const scene = { staticVideo: clip(() => 100), prompt: '' };
  const goal = clip((_, y) => (y < 8 ? 185 : 100), 1);
  const ranked = await rankActions(model, scene, candidates, goal, {
    seeds: 2,
    seed: 5,
    distance: meanSquare,
  });
  expect(ranked.map(({ name }) => name)).toEqual(['90', '40', '0']);
  expect(ranked[0].probabilityBest).toBe(1);
  expect(ranked[0].distances).toHaveLength(2);
  expect(asked).toEqual({ encodes: 1, freed: 1, seeds: [5, 6, 5, 6, 5, 6] });
});

test('a goal in words: the last frames alone, all of them, against the words, once', async () => {
  const { model } = fakeModel();
  const bright = (value: number) => clip((f) => (f === 2 ? value : 200));
  const candidates = [10, 120, 60].map((value) => ({ name: `${value}`, handVideo: bright(value) }));
  const texts: string[] = [];
  const angle = (radians: number) => Float32Array.of(Math.cos(radians), Math.sin(radians));
  // White is a right angle away from "black".
  const words = {
    embedText: async (text: string) => {
      texts.push(text);
      return angle(0);
    },
    embedImage: async (frame: { data: Uint8Array; frames: number }) => {
      expect(frame.frames).toBe(1);
      return angle(((frame.data[0] / 255) * Math.PI) / 2);
    },
  };
  const scene = { staticVideo: clip(() => 50), prompt: '' };
  const goal = { text: 'black', model: words };
  const ranked = await rankActions(model, scene, candidates, goal, { seeds: 2 });
  expect(ranked.map(({ name }) => name)).toEqual(['10', '60', '120']);
  expect(ranked[0].distances).toHaveLength(2);
  expect(ranked[0].distances[0]).toBeCloseTo(1 - Math.cos(((60 / 255) * Math.PI) / 2), 6);
  expect(texts).toEqual(['black']);
});

const device = await openNodeDevice();

/** A VAE whose latents are the mean colours of cells of 4x4. */
const meanColours = {
  device,
  encode: async (video: DeviceTensor) => {
    const values = await video.read();
    const moments = new Float32Array(6 * 16);
    for (let i = 0; i < values.length; i++) {
      const [y, x] = [Math.floor(i / 48) >> 2, Math.floor((i % 48) / 3) >> 2];
      moments[16 * (i % 3) + 4 * y + x] += values[i] / 16;
    }
    return new Posterior(DeviceTensor.from(device, moments, [1, 1, 6, 4, 4], 'f32'));
  },
};

test('the distance in latent space is to the direction of the change, where there is to be one', async () => {
  const distance = latentDistance(meanColours);
  const still = clip(() => 100, 1);
  const inside = (y: number, x: number) => y < 4 && x < 8;
  const goal = clip((_, y, x) => (inside(y, x) ? (x < 4 ? 180 : 60) : 100), 1);
  const wanted = wantedChange(still, goal);
  const of = (value: (y: number, x: number) => number) =>
    distance(
      clip((_, y, x) => value(y, x), 1),
      wanted,
    );
  const moved = (share: number) => (y: number, x: number) =>
    inside(y, x) ? 100 + share * (x < 4 ? 80 : -40) : 100;
  expect(await of(() => 100)).toBe(1);
  expect(await of(moved(1))).toBeCloseTo(0, 6);
  expect(await of(moved(0.5))).toBeCloseTo(0, 6);
  expect(await of(moved(-1))).toBeCloseTo(2, 6);
  // Brighter all over: (80 - 40) / (√2 · √(80² + 40²)) is the cosine where the goal differs, cells around it aside.
  const brighter = await of((y, x) => (inside(y, x) ? 140 : 100));
  expect(brighter).toBeCloseTo(1 - 40 / Math.sqrt(2 * (80 ** 2 + 40 ** 2)), 5);
  expect(await of((y, x) => (inside(y, x) ? moved(1)(y, x) : y > 12 ? 7 : 100))).toBeCloseTo(0, 6);
  const nothing = wantedChange(still, still);
  expect(await distance(still, nothing)).toBe(0);
  expect(await distance(goal, nothing)).toBe(1);
});

test('a candidate of another size is named', async () => {
  const candidates = [{ name: 'B.json', handVideo: clip(() => 0, 2) }];
  const scene = { staticVideo: clip(() => 0), prompt: '' };
  await expect(
    rankActions(
      fakeModel().model,
      scene,
      candidates,
      clip(() => 0, 1),
    ),
  ).rejects.toThrow(/^B\.json has 2 frames of 16x16, but the static video has 3/);
});

test('probabilities of being best tell close rows from clear ones', () => {
  expect(
    probabilitiesOfBest([
      [1, 1, 1],
      [2, 2, 2],
    ]),
  ).toEqual([1, 0]);
  const [a, b] = probabilitiesOfBest([
    [1, 3, 1.5, 2],
    [2, 1, 2.5, 1.5],
  ]);
  expect(a).toBeGreaterThan(0.1);
  expect(b).toBeGreaterThan(0.1);
  expect(a + b).toBeCloseTo(1, 9);
});

test('cross entropy finds the right choice and the place, and goes on from its state', async () => {
  const options = { population: 24, elite: 5, choices: 1, size: 3, seed: 3 };
  const cost = ([choice, x, y]: number[]) => (choice < 0.5 ? 1 : 0) + (x - 0.7) ** 2 + (y - 0.2) ** 2;
  const costs = async (points: readonly number[][]) => points.map(cost);
  let state = startSearch();
  for (let round = 0; round < 5; round++) state = await refine(state, options, costs);
  expect(state.scored[0].cost).toBeLessThan(0.003);
  expect(state.scored).toHaveLength(120);
  const again = JSON.parse(JSON.stringify(state));
  expect(await refine(again, options, costs)).toEqual(await refine(state, options, costs));
});
