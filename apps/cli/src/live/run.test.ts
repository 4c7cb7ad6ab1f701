import type { Device } from '@dwm/core-tensor';
import type { Video } from '@dwm/dwm-model';
import type { DwmStream, LiveChunk } from '@dwm/dwm-model/live';
import { expect, test } from 'vitest';
import { runLive } from './run.ts';

/** A video of 1x1 pixels, a shade a frame. */
const video = (shades: readonly number[]): Video => ({
  ...{ frames: shades.length, height: 1, width: 1 },
  data: Uint8Array.from(shades.flatMap((shade) => [shade, shade, shade])),
});
const shadesOf = ({ data }: Video) => [...data].filter((_, i) => i % 3 === 0);

/** Answers with the hands, the first block of one frame and then of four; a later block may be ready first. */
function echo(pushed: LiveChunk[], failAt = Number.POSITIVE_INFINITY) {
  let [blocks, inFlight, most] = [0, 0, 0];
  const stream = {
    get nextFrames() {
      return blocks === 0 ? 1 : 4;
    },
    cost: { flops: 8e9, bytes: 4e6 },
    get ready() {
      return inFlight < 2 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, 5));
    },
    async push(chunk: LiveChunk) {
      const block = blocks++;
      pushed.push(chunk);
      most = Math.max(most, ++inFlight);
      await new Promise((resolve) => setTimeout(resolve, block === 1 ? 3 : 1));
      inFlight--;
      if (block === failAt) throw new Error('lost');
      return chunk.hands;
    },
  };
  return { stream: stream as unknown as DwmStream, most: () => most };
}

const device = { memory: { allocated: 5, peak: 6 } } as Device;
const { signal } = new AbortController();

test('a path is played block after block, again and again, and the last block is filled up', async () => {
  const pushed: LiveChunk[] = [];
  const { stream, most } = echo(pushed);
  const source = { staticVideo: video([9, 9, 9, 8]), handVideo: video([1, 2, 3, 4]), times: 2, still: false };
  const { made, rates } = await runLive(device, stream, source, signal, () => {});
  expect(shadesOf(made)).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
  expect(pushed.map(({ hands }) => shadesOf(hands))).toEqual([[1], [2, 3, 4, 1], [2, 3, 4, 4]]);
  // The scene is shown only where it is not what it was.
  expect(pushed.map((chunk) => chunk.static && shadesOf(chunk.static))).toEqual([
    undefined,
    [9, 9, 8, 9],
    [9, 9, 8, 8],
  ]);
  expect(most()).toBe(2);
  expect(rates).toMatchObject({ frames: 8, blockFrames: 4, flopsPerFrame: 2e9, bytesPerFrame: 1e6 });
});

test('a camera that stands by the user’s word shows its scene once', async () => {
  const pushed: LiveChunk[] = [];
  const source = { staticVideo: video([9, 7]), handVideo: video([1, 2]), times: 1, still: true };
  await runLive(device, echo(pushed).stream, source, signal, () => {});
  expect(pushed.every((chunk) => chunk.static === undefined)).toBe(true);
});

test('a block that fails ends the run with its error', async () => {
  const source = { staticVideo: video([9]), handVideo: video([1, 2]), times: 9, still: true };
  const pushed: LiveChunk[] = [];
  const run = runLive(device, echo(pushed, 1).stream, source, signal, () => {});
  await expect(run).rejects.toThrow('lost');
  expect(pushed.length).toBeLessThan(5);
});
