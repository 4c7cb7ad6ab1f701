import { InvalidArgumentError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import type { Frames } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { counterfactualTable, modelMethods } from './counterfactuals.ts';
import { hasRoom, idleHands } from './idle-hands.ts';
import type { Generator } from './models.ts';
import type { EvalClip, MethodResult } from './types.ts';

const video = (value: number): Frames => ({
  ...{ frames: 2, height: 2, width: 3, fps: 8 },
  data: new Uint8Array(36).fill(value),
});
const clip: EvalClip = {
  ...{ name: 'x', index: 5, truth: video(1), truthName: 'x.mp4' },
  ...{ staticVideo: video(2), staticName: 's', handVideo: video(3), handName: 'h' },
};

test('every pair of hands and words is asked, with what the clip has in place of what it lacks', async () => {
  const asked: unknown[] = [];
  const generate = async (still: Frames, hands: Frames, { prompt, seedOffset }: Record<string, unknown>) => {
    asked.push([still.data[0], still.data[35], hands.data[0], prompt, seedOffset]);
    return { clip: still };
  };
  const generator = { name: 'm', generate } as unknown as Generator;
  const methods = modelMethods(generator, async () => 'own', {
    hands: { 'shuffled hands': async () => video(9) },
    words: { 'no caption': async () => '' },
  });
  for (const { make } of methods) await make(clip);
  const names = methods.map(({ name }) => name);
  expect(Object.fromEntries(names.map((name, i) => [name, asked[i]]))).toEqual({
    m: [2, 2, 3, 'own', 5],
    'm, no static': [2, 2, 3, 'own', 5],
    'm, no caption': [2, 2, 3, '', 5],
    'm, shuffled hands': [2, 2, 9, 'own', 5],
    'm, shuffled hands, no caption': [2, 2, 9, '', 5],
    'm, no hands': [2, 2, 0, 'own', 5],
    'm, no hands, no caption': [2, 2, 0, '', 5],
  });
  expect(modelMethods(generator, async () => 'own', undefined)).toHaveLength(1);
  const [{ make }] = methods;
  await expect(make({ ...clip, handVideo: undefined })).rejects.toThrow(InvalidArgumentError);
});

test('the table has hands down and words across; what nobody asked is a dash', () => {
  const result = (name: string, kind: MethodResult['kind'], db: number, outcome: number): MethodResult => {
    const interval = (mean: number) => ({ mean, low: mean, high: mean, count: 4 });
    return {
      name,
      kind,
      byAction: {},
      clips: [],
      summary: { psnrChanged: interval(db), outcome: interval(outcome) },
    };
  };
  const own = result('m', 'model', 19.444, 0.5);
  const table = counterfactualTable([own, result('m, no hands, no caption', 'ablation', 16, 0)])!;
  expect(table.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['m: outcome, changed region'],
    ['', 'own caption', 'wrong caption', 'no caption'],
    ['own hands', '50%, 19.44 dB', '–', '–'],
    ['touching nothing', '–', '–', '–'],
    ['shuffled hands', '–', '–', '–'],
    ['no hands', '–', '–', '0%, 16.00 dB'],
  ]);
  expect(counterfactualTable([own])).toBeUndefined();
});

test('hands that touch nothing are drawn for a room that is known, at the size of its clip', async () => {
  const simulated = { seed: 1_000_002, room: 'pull-drawer', fixedCamera: true, fps: 8 } as const;
  expect([
    hasRoom({ simulated }),
    hasRoom({}),
    hasRoom({ simulated: { ...simulated, room: 'miss' } }),
  ]).toEqual([true, false, false]);
  const device = await openNodeDevice();
  const truth = { ...video(0), frames: 5, height: 32, width: 48, data: new Uint8Array(5 * 32 * 48 * 3) };
  const hands = await idleHands(device, { ...clip, simulated, truth });
  device.destroy();
  expect([hands.frames, hands.height, hands.width, hands.fps]).toEqual([5, 32, 48, 8]);
  expect(hands.data.some((value) => value > 100)).toBe(true);
}, 60_000);
