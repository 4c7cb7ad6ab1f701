import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { decodeFrames } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { hasHandWeights, readHandWeights } from '../node/index.ts';
import { HandTracker } from './hand-tracker.ts';
import { pictureOf } from './own-points.ts';

const shared = resolve(import.meta.dirname, '../../../..', process.env.DWM_SHARED || '../shared');
const clip = resolve(shared, 'realworld/videos/00017.mp4');
const reason = !hasHandWeights() ? 'no weights' : !existsSync(clip) ? 'no shared data' : undefined;

test.skipIf(reason !== undefined)(
  `a left hand at a drawer, and three of them${reason ? `: skipped, ${reason}` : ''}`,
  async () => {
    const device = await openNodeDevice();
    const tracker = await HandTracker.create(device, await readHandWeights());
    for await (const { index, width, height, rgb } of pictures([0, 7])) {
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
        // Our head sees it better in the square of its own points, and leaves MediaPipe's as they are.
        const closer = await tracker.closer({ data: rgb, width, height }, hands[0]);
        const own = closer.own!;
        expect(own.region).not.toEqual(hands[0].own!.region);
        expect(own.reading.rightness).toBeLessThan(0.2);
        const ours = pictureOf(own, 'left');
        expect(Math.min(...ours.map(([x]) => x))).toBeGreaterThan(310);
        expect(Math.max(...ours.map(([x]) => x))).toBeLessThan(388);
        expect(Math.min(...ours.map(([, y]) => y))).toBeGreaterThan(320);
        expect(Math.max(...ours.map(([, y]) => y))).toBeLessThan(412);
        expect({ ...hands[0], own: undefined }).toEqual({ ...closer, own: undefined });
      }
    }
    expect(tracker.others).toBe(false);
    tracker.reset();
    for await (const picture of pictures([7])) expect(await tracker.next(threeOf(picture))).toHaveLength(2);
    expect(tracker.others).toBe(true);
    tracker.destroy();
    device.destroy();
  },
);

async function* pictures(indices: number[]) {
  for await (const frame of decodeFrames(clip, { indices }))
    yield { index: frame.index, width: frame.width, height: frame.height, rgb: await frame.rgb() };
}

/** Its hand three times side by side. */
function threeOf({ width, height, rgb }: { width: number; height: number; rgb: Uint8Array }) {
  const [left, part] = [230, 240];
  const data = new Uint8Array(3 * part * height * 3);
  for (let y = 0; y < height; y++)
    for (let copy = 0; copy < 3; copy++)
      data.set(
        rgb.subarray((y * width + left) * 3, (y * width + left + part) * 3),
        (3 * y + copy) * part * 3,
      );
  return { data, width: 3 * part, height };
}
