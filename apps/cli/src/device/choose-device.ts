/**
 * Which of a machine's devices this process takes: by `--device` or `DWM_DEVICE`, else by its place among the processes of
 * the machine. `CUDA_VISIBLE_DEVICES` counts as it does for CUDA: the devices that it names, in its order, are all.
 */
import { InvalidArgumentError, NoAdapterError } from '@dwm/core-tensor';
import { type Place, placeFrom } from '../work/place.ts';
import { pciAddresses, type VulkanDevice, vulkanDevices } from './vulkan-devices.ts';

type Environment = Record<string, string | undefined>;

const VISIBLE = 'CUDA_VISIBLE_DEVICES';

/** Which device, and why. */
export interface Chosen {
  readonly index: number;
  readonly of: number;
  readonly device: VulkanDevice;
  /** Of the device among those of its name. */
  readonly twin: number;
  /** Devices that Dawn would take for it: it looks for a name within names. */
  readonly alike: number;
  readonly by: string;
  /** What `CUDA_VISIBLE_DEVICES` says and cannot mean here. */
  readonly ignored: string | undefined;
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
  if (place.localRank !== undefined) return { index: place.localRank, by: place.source, wraps: true };
  return env[VISIBLE] ? { index: 0, by: VISIBLE, wraps: false } : undefined;
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
  const { devices, ignored } = visible(gpus, listed, env);
  if (devices.length === 0) return undefined;
  if (index >= devices.length && !wraps) {
    const names = devices.map(({ name }, i) => `${i}: ${name}`).join(', ');
    throw new InvalidArgumentError(by, `expected 0 to ${devices.length - 1} (${names}), got ${index}`);
  }
  const device = devices[index % devices.length];
  return {
    index: index % devices.length,
    of: devices.length,
    device,
    twin: listed.filter(({ name }) => name === device.name).indexOf(device),
    alike: listed.filter(({ name }) => name.includes(device.name)).length,
    by,
    ignored,
  };
}

/**
 * As for CUDA: the devices before the first number that is none; none of the GPUs for -1. Other names of devices say nothing
 * here, nor do numbers of those that a container hides.
 */
function visible(
  gpus: readonly VulkanDevice[],
  listed: readonly VulkanDevice[],
  env: Environment,
): { readonly devices: readonly VulkanDevice[]; readonly ignored?: string } {
  const devices = gpus.length > 0 ? gpus : listed;
  const text = env[VISIBLE];
  if (!text) return { devices };
  if (/^-\d/.test(text)) {
    const others = listed.filter(({ software }) => software);
    if (gpus.length > 0 && others.length === 0)
      throw new InvalidArgumentError(
        VISIBLE,
        `${text} hides every GPU, and there is no driver in software beside them; unset it, or set DWM_ADAPTER=swiftshader`,
      );
    return { devices: others };
  }
  const numbers = text.split(',').map((i) => (/^\d+$/.test(i) ? Number(i) : Number.NaN));
  const end = numbers.findIndex((i) => devices[i] === undefined);
  const named = new Set(numbers.slice(0, end < 0 ? undefined : end).map((i) => devices[i]));
  if (named.size > 0) return { devices: [...named] };
  return { devices, ...(devices.length > 1 && { ignored: text }) };
}

/**
 * The name of the device for Dawn; undefined where the first one will do. Where several have that name in theirs, all but
 * one are hidden from this process by Mesa's device-select layer, which works for drivers of all vendors.
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
  if (env.DWM_ADAPTER) {
    if (wanted && !wanted.wraps && wanted.by !== VISIBLE)
      throw new InvalidArgumentError(
        wanted.by,
        `DWM_ADAPTER=${env.DWM_ADAPTER} says otherwise; unset one of them`,
      );
    return undefined;
  }
  if (!wanted) return undefined;
  const listed = (await list()) ?? [];
  const chosen = chosenFrom(listed, wanted, env);
  if (!chosen) return undefined;
  const { device, index, of, twin, alike, by, ignored } = chosen;
  if (ignored) say(`${VISIBLE}=${ignored} is left alone: only numbers from 0 to ${of - 1} count here`);
  const shared = wanted.index >= of ? '; shared, as there are more processes than devices' : '';
  if (listed.length === 1 && device.software) {
    // Where this driver is too old for Dawn, another one in software is there without being asked for.
    say(`device 0 of 1, by ${by}: in software${shared}`);
    return undefined;
  }
  if (alike > 1) {
    const address = pciAddresses(device)[twin];
    if (address !== undefined) env.DRI_PRIME = `pci-${address.replaceAll(/[:.]/g, '_')}!`;
    const left = address === undefined ? [] : ((await list()) ?? []);
    if (left.filter(({ name }) => name.includes(device.name)).length !== 1) {
      throw new NoAdapterError(
        `${by}: ${alike} devices have "${device.name}" in their names, and nothing tells them apart; apt-get install mesa-vulkan-drivers (its device-select layer), or let the scheduler show each process one (srun --gpus-per-task=1, one GPU a pod)`,
      );
    }
  }
  say(`device ${index} of ${of}, by ${by}: ${device.name}${shared}`);
  return device.name;
}
