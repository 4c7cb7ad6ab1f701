import { openNodeDevice } from '@dwm/core-tensor/node';
import type { Video } from '@dwm/dwm-model';
import { decodeImage } from '@dwm/renderer/node';
import { drawEnd, LIVE_ACTS, type LiveRoom, liveRoom, PassRenderer, withoutHands } from '@dwm/synth';
import { expect, test } from 'vitest';
import { stateOf } from './live.ts';

const SIZE = { width: 96, height: 64, frames: 65, fps: 8 };

async function firstRoom(): Promise<LiveRoom> {
  for (let seed = 1_000_000; ; seed++) {
    const room = await liveRoom(seed, SIZE);
    if (!('rejected' in room)) return room;
  }
}

test('the simulation itself is right after every act, and a room that stays shut is not where it should be open', {
  timeout: 60_000,
}, async () => {
  const device = await openNodeDevice();
  const passes = new PassRenderer(device, decodeImage);
  const room = await firstRoom();
  /** A run of which only the frames that are looked at are drawn, with its thing as each act leaves it. */
  const drawn = async (actOf: (act: number) => number): Promise<Video> => {
    const frames = SIZE.frames + 4;
    const bytes = SIZE.height * SIZE.width * 3;
    const data = new Uint8Array(frames * bytes);
    const moments = [...room.acts, { ...withoutHands(room.clip), last: true }];
    for (const [k, moment] of moments.entries()) {
      const { moving } = room.acts[actOf(Math.min(k, LIVE_ACTS.length - 1))];
      const at = 'last' in moment ? frames - 1 : moment.acting.frames.length - 1;
      data.set((await drawEnd(passes, moment, moving)).data, at * bytes);
    }
    return { ...SIZE, frames, data };
  };
  const truth = await stateOf(passes, room, await drawn((act) => act));
  expect(Math.min(...truth.acts, truth.end)).toBeGreaterThan(0);
  expect(truth.unchanged).toBeGreaterThan(30);
  const shut = await stateOf(passes, room, await drawn(() => 0));
  expect(shut.acts.map((margin) => margin > 0)).toEqual(LIVE_ACTS.map(({ isOpen }) => !isOpen));
  expect(shut.end).toBeGreaterThan(0);
  passes.destroy();
  device.destroy();
});
