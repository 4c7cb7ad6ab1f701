import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { decodeFrames } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { hasHandWeights, readHandWeights } from '../node/index.ts';
import { HandTracker } from './hand-tracker.ts';

const shared = resolve(import.meta.dirname, '../../../..', process.env.DWM_SHARED || '../shared');
const clip = resolve(shared, 'realworld/videos/00017.mp4');
const reason = !hasHandWeights() ? 'no weights' : !existsSync(clip) ? 'no shared data' : undefined;

test.skipIf(reason !== undefined)(
  `a left hand at a drawer${reason ? `: skipped, ${reason}` : ''}`,
  async () => {
    const device = await openNodeDevice();
    const tracker = await HandTracker.create(device, await readHandWeights());
    for await (const { index, width, height, rgb } of pictures([0, 6, 7])) {
      const hands = await tracker.next({ data: rgb, width, height });
      if (index === 0) expect(hands).toEqual([]);
      else {
        expect(hands.map(({ side }) => side)).toEqual(['left']);
        // The hand that the released hand video draws there covers x 310 to 388 and y 320 to 410.
        const [{ points, presence }] = hands;
        expect(presence).toBeGreaterThan(0.9);
        expect(Math.min(...points.map(([x]) => x))).toBeGreaterThan(300);
        expect(Math.max(...points.map(([x]) => x))).toBeLessThan(400);
        expect(points[0][1] - points[12][1]).toBeGreaterThan(60);
      }
    }
    tracker.destroy();
    device.destroy();
  },
);

async function* pictures(indices: number[]) {
  for await (const frame of decodeFrames(clip, { indices }))
    yield { index: frame.index, width: frame.width, height: frame.height, rgb: await frame.rgb() };
}
