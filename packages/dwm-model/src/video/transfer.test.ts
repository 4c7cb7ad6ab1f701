import { DeviceTensor } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { letterboxSize, toBytes, toDevice } from './transfer.ts';

const device = await openNodeDevice();

test('every byte becomes the f32 nearest to its share of 255, in [-1, 1]', async () => {
  const data = Uint8Array.from({ length: 3 * 256 }, (_, i) => Math.floor(i / 3));
  const size = { frames: 1, height: 16, width: 16 };
  const video = await toDevice(device, { data, ...size }, size);
  expect(video.shape).toEqual([1, 1, 16, 16, 3]);
  expect(await video.read()).toEqual(Float32Array.from(data, (value) => Math.fround(value / 255) * 2 - 1));
  video.destroy();
});

test('values come down as an original saves them: clamped, times 255, cut', async () => {
  const values = Float32Array.of(-1.5, -1, 0, 1, 1.5, 0.993, -0.9922, 2 / 255 - 1, 4 / 255 - 1);
  const video = DeviceTensor.from(device, values, [1, 1, 1, 3, 3], 'f32');
  const { data, ...size } = await toBytes(video);
  expect(size).toEqual({ frames: 1, height: 1, width: 3 });
  const f = Math.fround;
  const want = values.map((v) => Math.floor(f(255 * Math.min(1, Math.max(0, f(f(v / 2) + 0.5))))));
  expect([...data]).toEqual([...want]);
  expect([...data.subarray(0, 5)]).toEqual([0, 0, 127, 255, 255]);
  video.destroy();
});

test('another shape is fitted whole, with black bars, the odd row below', async () => {
  expect(letterboxSize({ height: 720, width: 1280 }, { height: 480, width: 720 })).toEqual({
    height: 405,
    width: 720,
  });
  expect(letterboxSize({ height: 480, width: 480 }, { height: 480, width: 720 })).toEqual({
    height: 480,
    width: 480,
  });
  const clip = { data: new Uint8Array(2 * 4 * 3).fill(255), frames: 1, height: 2, width: 4 };
  const video = await toDevice(device, clip, { frames: 1, height: 5, width: 4 }, 'letterbox');
  const got = await video.read();
  expect(Array.from({ length: 5 }, (_, y) => got[y * 4 * 3])).toEqual([-1, 1, 1, -1, -1]);
  video.destroy();
});

test('another number of frames is one trilinear resize, only another size the nearest pixels', async () => {
  const ramp = {
    data: Uint8Array.from({ length: 24 }, (_, i) => 10 * Math.floor(i / 3)),
    height: 2,
    width: 2,
  };
  const near = await toDevice(device, { ...ramp, frames: 2 }, { frames: 2, height: 1, width: 1 });
  expect([...(await near.read())].map((v) => Math.round((v + 1) * 127.5))).toEqual([0, 0, 0, 40, 40, 40]);
  const mixed = await toDevice(device, { ...ramp, frames: 2 }, { frames: 1, height: 1, width: 1 });
  expect([...(await mixed.read())].map((v) => Math.round((v + 1) * 127.5))).toEqual([35, 35, 35]);
  near.destroy();
  mixed.destroy();
});
