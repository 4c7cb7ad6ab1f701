import { join } from 'node:path';
import { describeAdapter, swiftShaderFolder } from '@dwm/core-tensor/node';
import { describe, expect, test } from 'vitest';
import { dwm } from '../testing.ts';
import { chooseDevice, chosenFrom, wantedIndex } from './choose-device.ts';
import type { VulkanDevice } from './vulkan-devices.ts';

const gpu = (name: string, software = false): VulkanDevice => ({ name, software, vendor: 0xdead, device: 1 });
const listed = [gpu('A'), gpu('llvmpipe', true), gpu('B'), gpu('A')];
const at = (index: number, env = {}, wraps = true) =>
  chosenFrom(listed, { index, by: 'X', wraps }, env)?.device.name;

test('software drivers count only where there is nothing else; processes in excess share', () => {
  expect([0, 1, 2, 3].map((i) => at(i))).toEqual(['A', 'B', 'A', 'A']);
  expect(chosenFrom(listed, { index: 2, by: 'X', wraps: true }, {})).toMatchObject({ twin: 1, twins: 2 });
  expect(chosenFrom([gpu('p', true)], { index: 0, by: 'X', wraps: true }, {})?.device.name).toBe('p');
  expect(chosenFrom([], { index: 0, by: 'X', wraps: true }, {})).toBeUndefined();
});

test('CUDA_VISIBLE_DEVICES: those that it names, in its order; what it cannot mean here is left alone', () => {
  expect(at(0, { CUDA_VISIBLE_DEVICES: '1,0' })).toBe('B');
  expect(at(1, { CUDA_VISIBLE_DEVICES: '1,0' })).toBe('A');
  expect(at(1, { CUDA_VISIBLE_DEVICES: 'GPU-1234' })).toBe('B');
  expect(at(1, { CUDA_VISIBLE_DEVICES: '7' })).toBe('B');
});

test('a flag counts before the environment, and must be there', () => {
  const env = { DWM_DEVICE: '1', PMI_RANK: '5', PMI_SIZE: '8', MPI_LOCALRANKID: '2' };
  expect(wantedIndex('0', env)).toEqual({ index: 0, by: '--device', wraps: false });
  expect(wantedIndex(undefined, env)).toMatchObject({ index: 1, by: 'DWM_DEVICE' });
  expect(wantedIndex(undefined, { ...env, DWM_DEVICE: '' })).toMatchObject({ index: 2, wraps: true });
  expect(wantedIndex(undefined, {})).toBeUndefined();
  expect(() => wantedIndex('one', {})).toThrow('--device: expected the number of a device, from 0 up');
  expect(() => at(3, {}, false)).toThrow('X: expected 0 to 2 (0: A, 1: B, 2: A), got 3');
});

test('twins that nothing tells apart are refused', async () => {
  await expect(
    chooseDevice(
      '2',
      () => {},
      {},
      async () => listed,
    ),
  ).rejects.toThrow(
    '--device: 2 devices are called A, and nothing tells them apart; apt-get install mesa-vulkan-drivers',
  );
});

describe('two adapters in software', async () => {
  const lavapipe = (await describeAdapter('lavapipe')) !== undefined;
  test.skipIf(!lavapipe)(
    `each process takes its own${lavapipe ? '' : ' (skipped, no lavapipe)'}`,
    async () => {
      const drivers = [
        '/usr/share/vulkan/icd.d/lvp_icd.json',
        join(await swiftShaderFolder(), 'vk_swiftshader_icd.json'),
      ].join(':');
      const said = async (rank: string) => {
        const env = { VK_DRIVER_FILES: drivers, VK_ICD_FILENAMES: drivers, DWM_ADAPTER: '', DWM_TUNE: 'off' };
        const place = { PMI_RANK: rank, PMI_SIZE: '2', MPI_LOCALRANKID: rank };
        const { stderr } = await dwm(['tune', '--budget', '0'], { env: { ...env, ...place } });
        return stderr;
      };
      const [one, two] = [await said('0'), await said('1')];
      const name = (text: string) => /device \d of 2, by PMI \(.*\): (llvmpipe|SwiftShader)/.exec(text)?.[1];
      expect([name(one), name(two)].sort(), one + two).toEqual(['SwiftShader', 'llvmpipe']);
    },
    120_000,
  );
});
