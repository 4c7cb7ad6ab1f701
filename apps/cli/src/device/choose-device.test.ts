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
  expect(chosenFrom(listed, { index: 2, by: 'X', wraps: true }, {})).toMatchObject({ twin: 1, alike: 2 });
  expect(chosenFrom([gpu('p', true)], { index: 0, by: 'X', wraps: true }, {})?.device.name).toBe('p');
  expect(chosenFrom([], { index: 0, by: 'X', wraps: true }, {})).toBeUndefined();
});

test('CUDA_VISIBLE_DEVICES: those that it names, in its order; what it cannot mean here is left alone', () => {
  const within = (text: string) => [0, 1, 2].map((index) => at(index, { CUDA_VISIBLE_DEVICES: text }));
  expect(within('1,0')).toEqual(['B', 'A', 'B']);
  expect(within('1,-1,0')).toEqual(['B', 'B', 'B']);
  expect(within('1,1')).toEqual(['B', 'B', 'B']);
  expect(within('-1')).toEqual(['llvmpipe', 'llvmpipe', 'llvmpipe']);
  expect(within('GPU-1234')).toEqual(['A', 'B', 'A']);
  const chosen = (text: string, devices = listed) =>
    chosenFrom(devices, { index: 0, by: 'X', wraps: true }, { CUDA_VISIBLE_DEVICES: text });
  expect(chosen('7')).toMatchObject({ of: 3, ignored: '7' });
  expect(chosen('7', [gpu('A')])).toMatchObject({ of: 1, ignored: undefined });
  expect(() => chosen('-1', [gpu('A')])).toThrow('CUDA_VISIBLE_DEVICES: -1 hides every GPU, and');
});

test('a flag counts before the environment, and must be there', () => {
  const env = { DWM_DEVICE: '1', PMI_RANK: '5', PMI_SIZE: '8', MPI_LOCALRANKID: '2' };
  expect(wantedIndex('0', env)).toEqual({ index: 0, by: '--device', wraps: false });
  expect(wantedIndex(undefined, env)).toMatchObject({ index: 1, by: 'DWM_DEVICE' });
  expect(wantedIndex(undefined, { ...env, DWM_DEVICE: '' })).toMatchObject({ index: 2, wraps: true });
  expect(wantedIndex(undefined, {})).toBeUndefined();
  expect(wantedIndex(undefined, { CUDA_VISIBLE_DEVICES: '1' })).toMatchObject({ index: 0, wraps: false });
  expect(() => wantedIndex('one', {})).toThrow('--device: expected the number of a device, from 0 up');
  expect(() => at(3, {}, false)).toThrow('X: expected 0 to 2 (0: A, 1: B, 2: A), got 3');
});

const choose = (env: Record<string, string>, devices: readonly VulkanDevice[], said: string[] = []) =>
  chooseDevice(
    undefined,
    (line) => said.push(line),
    env,
    async () => devices,
  );

test('devices that Dawn would take for one another, and nothing tells apart, are refused', async () => {
  const refused = (name: string) =>
    `DWM_DEVICE: 2 devices have "${name}" in their names, and nothing tells them apart; apt-get install mesa-vulkan-drivers`;
  await expect(choose({ DWM_DEVICE: '2' }, listed)).rejects.toThrow(refused('A'));
  const kin = [gpu('RTX 3080 Ti'), gpu('RTX 3080')];
  await expect(choose({ DWM_DEVICE: '1' }, kin)).rejects.toThrow(refused('RTX 3080'));
  expect(await choose({ DWM_DEVICE: '0' }, kin)).toBe('RTX 3080 Ti');
});

test('a device that is asked for beside DWM_ADAPTER is refused; a place is not', async () => {
  const env = { DWM_ADAPTER: 'lavapipe' };
  await expect(choose({ ...env, DWM_DEVICE: '1' }, listed)).rejects.toThrow(
    'DWM_DEVICE: DWM_ADAPTER=lavapipe says otherwise; unset one of them',
  );
  const place = { PMI_RANK: '1', PMI_SIZE: '2', MPI_LOCALRANKID: '1' };
  expect(await choose({ ...env, ...place }, listed)).toBeUndefined();
});

test('the one driver in software is not asked for by name, as it may be too old for Dawn', async () => {
  const said: string[] = [];
  const place = { PMI_RANK: '1', PMI_SIZE: '2', MPI_LOCALRANKID: '1' };
  expect(await choose(place, [gpu('llvmpipe', true)], said)).toBeUndefined();
  expect(said).toEqual([
    'device 0 of 1, by PMI (PMI_RANK, PMI_SIZE): in software; shared, as there are more processes than devices',
  ]);
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
