import { afterEach, expect, test } from 'vitest';
import { type NodeOpenOptions, openNodeDevice } from '../node/device/open.ts';
import type { Device } from './device.ts';
import { DeviceLostError, GpuValidationError, OutOfMemoryError } from './errors.ts';

const STORAGE = 0x80 | 0x8 | 0x4; // STORAGE | COPY_DST | COPY_SRC; the globals come with the first device
const opened: Device[] = [];
const open = async (options?: NodeOpenOptions) => {
  const device = await openNodeDevice(options);
  opened.push(device);
  return device;
};
afterEach(() => {
  for (const device of opened.splice(0)) device.destroy();
});
const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => error,
  );

test('capabilities are plain data and agree with the device', async () => {
  const { caps, gpu } = await open();
  expect(JSON.parse(JSON.stringify(caps))).toEqual(caps);
  for (const [name, value] of Object.entries(caps.limits)) {
    expect(value, name).toBe(gpu.limits[name as keyof GPUSupportedLimits]);
  }
  expect(caps.features.f16).toBe(gpu.features.has('shader-f16'));
  const { subgroups, subgroupMinSize, subgroupMaxSize } = caps.features;
  expect(subgroupMinSize).toBeLessThanOrEqual(subgroupMaxSize);
  expect(subgroupMinSize >= 4).toBe(subgroups);
});

test('what is made once a device is not shared between devices', async () => {
  const [a, b] = [await open(), await open()];
  const make = (device: Device) => ({ device });
  expect(a.once(make)).toBe(a.once(make));
  expect(a.once(make).device).toBe(a);
  expect(b.once(make).device).toBe(b);
});

test('limits can be tightened, never loosened', async () => {
  const { caps } = await open({
    limits: { maxStorageBufferBindingSize: 65536, minStorageBufferOffsetAlignment: 512 },
  });
  expect(caps.limits.maxStorageBufferBindingSize).toBe(65536);
  expect(caps.limits.minStorageBufferOffsetAlignment).toBe(512);
  await expect(open({ limits: { maxBufferSize: 2 ** 52 } })).rejects.toThrow(
    /limits.maxBufferSize: .*no larger than/,
  );
});

test('bytes written come back, and the account balances', async () => {
  const device = await open();
  const values = Float32Array.from({ length: 1001 }, (_, i) => i / 7);
  const buffer = device.createBuffer(values.byteLength, STORAGE, 'values');
  device.gpu.queue.writeBuffer(buffer.gpu, 0, values);
  expect(new Float32Array(await device.read(buffer))).toEqual(values);
  expect(new Float32Array(await device.read(buffer, 40, 8))).toEqual(values.slice(10, 12));
  expect(device.memory).toMatchObject({ allocated: 4004, buffers: 1, peak: 8008 });
  buffer.destroy();
  buffer.destroy();
  expect(device.memory).toMatchObject({ allocated: 0, buffers: 0, peak: 8008 });
});

test('one buffer over the limit says what was asked for and what is there', async () => {
  const device = await open({ limits: { maxBufferSize: 2 ** 20 } });
  device.createBuffer(1000, STORAGE, 'small');
  let error: unknown;
  try {
    device.createBuffer(2 ** 20 + 4, STORAGE, 'latents');
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(OutOfMemoryError);
  expect(error).toMatchObject({
    code: 'out-of-memory',
    details: { requestedBytes: 2 ** 20 + 4, allocatedBytes: 1000, label: 'latents', limitBytes: 2 ** 20 },
  });
  expect((error as Error).message).not.toContain('\n');
  expect(device.memory.buffers).toBe(1);
});

test('too many buffers end in a typed error, not in a killed process', async () => {
  const device = await open();
  const size = device.caps.limits.maxBufferSize - 3;
  const fill = async () => {
    for (let i = 0; i < 4096; i++) {
      device.createBuffer(size, STORAGE, `block ${i}`);
      await device.wait(Promise.resolve());
    }
  };
  const error = await rejection(fill());
  expect(error).toBeInstanceOf(OutOfMemoryError);
  const { requestedBytes, allocatedBytes } = (error as OutOfMemoryError).details;
  expect(requestedBytes).toBe(Math.ceil(size / 4) * 4);
  expect(allocatedBytes).toBe(device.memory.allocated);
});

test('a mistake is reported by scoped, or else by the next wait, once', async () => {
  const device = await open();
  const tooLong = () => device.gpu.queue.writeBuffer(buffer.gpu, 8, new Uint32Array(4));
  const buffer = device.createBuffer(16, STORAGE, 'short');
  const scoped = await rejection(device.scoped('upload', tooLong));
  expect(scoped).toBeInstanceOf(GpuValidationError);
  expect((scoped as Error).message).toMatch(/^upload: .*writeBuffer/i);
  tooLong();
  await expect(device.done()).rejects.toBeInstanceOf(GpuValidationError);
  await device.done();
});

test('when a wait fails because of an earlier mistake, the mistake is what is thrown', async () => {
  const device = await open();
  const unmappable = device.createBuffer(16, 0x1 | 0x80, 'both mappable and storage');
  const error = await rejection(device.wait(unmappable.gpu.mapAsync(GPUMapMode.READ)));
  expect(error).toBeInstanceOf(GpuValidationError);
  expect((error as Error).message).toMatch(/usage/i);
});

test('destroying a device under a pending map rejects the wait, and all later ones', async () => {
  const device = await open();
  const buffer = device.createBuffer(256, 0x1 | 0x8, 'staging');
  const map = rejection(device.wait(buffer.gpu.mapAsync(GPUMapMode.READ)));
  const never = rejection(device.wait(new Promise(() => {})));
  device.destroy();
  for (const error of [await map, await never, await rejection(device.done())]) {
    expect(error).toBeInstanceOf(DeviceLostError);
    expect(error).toMatchObject({ reason: 'destroyed', details: { allocatedBytes: 256 } });
  }
  expect(() => device.createBuffer(4, STORAGE, 'late')).toThrow(DeviceLostError);
});

test('a loss that nobody asked for rejects the wait too', async () => {
  const device = await open();
  const never = rejection(device.wait(new Promise(() => {})));
  device.gpu.destroy(); // not through Device: as when the driver takes it away
  expect(await never).toBeInstanceOf(DeviceLostError);
  expect(await device.lost).toBeInstanceOf(DeviceLostError);
});
