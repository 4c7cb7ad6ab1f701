/**
 * Which of a machine's devices this process takes: by `--device` or `DWM_DEVICE`, else by its place among the processes of
 * the machine. `CUDA_VISIBLE_DEVICES` counts as it does for CUDA: the devices that it names, in its order, are all.
 */
import { InvalidArgumentError, NoAdapterError } from '@dwm/core-tensor';
import { type Place, placeFrom } from '../work/place.ts';
import { pciAddresses, type VulkanDevice, vulkanDevices } from './vulkan-devices.ts';

type Environment = Record<string, string | undefined>;

/** Which device, and why. */
export interface Chosen {
  readonly index: number;
  readonly of: number;
  readonly device: VulkanDevice;
  /** Of the device among those of its name. */
  readonly twin: number;
  readonly twins: number;
  readonly by: string;
}

interface Wanted {
  readonly index: number;
  readonly by: string;
  /** May be more than there are devices: processes then share. */
  readonly wraps: boolean;
}

/** @throws InvalidArgumentError for what is no index. */
export function wantedIndex(
  flag: string | undefined,
  env: Environment,
  place: Place = placeFrom(undefined, env),
): Wanted | undefined {
  for (const [by, text] of [
    ['--device', flag],
    ['DWM_DEVICE', env.DWM_DEVICE],
  ] as const) {
    if (!text) continue;
    if (!/^\d+$/.test(text))
      throw new InvalidArgumentError(by, `expected the number of a device, from 0 up, got "${text}"`);
    return { index: Number(text), by, wraps: false };
  }
  if (place.localRank === undefined) return undefined;
  return { index: place.localRank, by: place.source, wraps: true };
}

/**
 * @param listed in Vulkan's order.
 * @returns undefined where there is nothing to choose from.
 * @throws InvalidArgumentError for an index that is not there.
 */
export function chosenFrom(
  listed: readonly VulkanDevice[],
  { index, by, wraps }: Wanted,
  env: Environment,
): Chosen | undefined {
  // Software drivers count only where there is nothing else.
  const gpus = listed.filter(({ software }) => !software);
  const devices = visible(gpus.length > 0 ? gpus : listed, env);
  if (devices.length === 0) return undefined;
  if (index >= devices.length && !wraps) {
    const names = devices.map(({ name }, i) => `${i}: ${name}`).join(', ');
    throw new InvalidArgumentError(by, `expected 0 to ${devices.length - 1} (${names}), got ${index}`);
  }
  const device = devices[index % devices.length];
  const twins = listed.filter(({ name }) => name === device.name);
  return {
    index: index % devices.length,
    of: devices.length,
    device,
    twin: twins.indexOf(device),
    twins: twins.length,
    by,
  };
}

/** Numbers only: others, and those of devices that a container hides, say nothing here. */
function visible(devices: readonly VulkanDevice[], env: Environment): readonly VulkanDevice[] {
  const text = env.CUDA_VISIBLE_DEVICES;
  if (!text || !/^\d+(,\d+)*$/.test(text)) return devices;
  const named = text.split(',').map((i) => devices[Number(i)]);
  return named.every((one) => one !== undefined) ? named : devices;
}

/**
 * The name of the device for Dawn; undefined where the first one will do. Where several have that name, all but one are
 * hidden from this process by Mesa's device-select layer, which works for drivers of all vendors.
 * @param say takes a line that tells which device it is.
 * @throws NoAdapterError where they cannot be told apart.
 */
export async function chooseDevice(
  flag: string | undefined,
  say: (line: string) => void,
  env: Environment = process.env,
  list: () => Promise<readonly VulkanDevice[] | undefined> = vulkanDevices,
): Promise<string | undefined> {
  const wanted = wantedIndex(flag, env);
  if (!wanted || env.DWM_ADAPTER) return undefined;
  const chosen = chosenFrom((await list()) ?? [], wanted, env);
  if (!chosen) return undefined;
  const { device, index, of, twin, twins, by } = chosen;
  if (twins > 1) {
    const address = pciAddresses(device)[twin];
    if (address !== undefined) env.DRI_PRIME = `pci-${address.replaceAll(/[:.]/g, '_')}!`;
    const left = address === undefined ? [] : ((await list()) ?? []);
    if (left.filter(({ name }) => name === device.name).length !== 1) {
      throw new NoAdapterError(
        `${by}: ${twins} devices are called ${device.name}, and nothing tells them apart; apt-get install mesa-vulkan-drivers (its device-select layer), or let the scheduler show each process one (srun --gpus-per-task=1, one GPU a pod)`,
      );
    }
  }
  const shared = wanted.index >= of ? '; shared, as there are more processes than devices' : '';
  say(`device ${index} of ${of}, by ${by}: ${device.name}${shared}`);
  return device.name;
}
