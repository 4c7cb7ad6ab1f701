/**
 * The device of a Node process, through Dawn. A device is always there: a GPU, else the system's software
 * driver (Mesa's lavapipe), else SwiftShader, which comes with this package. `DWM_ADAPTER` forces one.
 */
import { totalmem } from 'node:os';
import { type Device, type OpenOptions, openAdapter } from '../../device/device.ts';
import { NoAdapterError } from '../../device/errors.ts';
import { InvalidArgumentError } from '../../errors.ts';
import { traceKernels } from '../trace-kernels.ts';
import { pollPatiently } from './patient-polling.ts';
import { withSwiftShader } from './swiftshader.ts';

const ADAPTERS = ['hardware', 'lavapipe', 'swiftshader', 'null'] as const;
/** `null` compiles shaders and runs nothing: every feature is there, subgroup matrices too. */
export type AdapterName = (typeof ADAPTERS)[number];

/** What a device is opened with in Node. */
export interface NodeOpenOptions extends OpenOptions {
  /** The one adapter to take; by default `$DWM_ADAPTER`, else the first there is in the order above. */
  readonly adapter?: AdapterName;
  /** `false` turns off the bounds checks that Dawn adds to shaders: tests use it to prove they are not needed. */
  readonly robustness?: boolean;
}

/** How to get each adapter. */
export const INSTALL: Record<AdapterName, string> = {
  hardware: "install the GPU's Vulkan driver and libvulkan1, and check with `vulkaninfo --summary`",
  lavapipe:
    'apt-get install -t bookworm-backports mesa-vulkan-drivers libvulkan1 (stock Mesa 22.3 of Debian 12 is too old for Dawn)',
  swiftshader: 'reinstall the npm package @sparticuz/chromium',
  null: 'reinstall the npm package webgpu',
};

// One instance for all devices of the same flags and drivers, for as long as the process runs. Dawn frees an instance,
// and all that was made from it, when its JavaScript object is collected, and crashes when a device of it is used
// thereafter; and every instance has threads of its own.
const instances = new Map<string, GPU>();

/** For a program that minds how Dawn is asked for an adapter. */
export const adapterRequests = {
  /** Around each question, in which Dawn's C++ writes to standard error. */
  around: <T>(ask: () => Promise<T>): Promise<T> => ask(),
  /** The whole name of the device to take where a machine has several; if undefined, the first one or `$DWM_ADAPTER`. */
  choose: async (): Promise<string | undefined> => undefined,
};

/**
 * @throws NoAdapterError when the adapter that was forced is not there, saying what to install;
 * InvalidArgumentError for an unknown adapter name or a limit the device does not have.
 */
export async function openNodeDevice(options: NodeOpenOptions = {}): Promise<Device> {
  const wanted = options.adapter ?? adapterFromEnvironment();
  const name = options.adapter === undefined ? await adapterRequests.choose() : undefined;
  const flags = dawnFlags(options);
  const adapter = await (name === undefined ? findAdapter(wanted, flags) : namedAdapter(name, flags));
  const software = adapter.info.isFallbackAdapter ?? false;
  if (software) pollPatiently();
  const device = await openAdapter(adapter, options, software ? softwareMemoryLimit() : undefined);
  if (process.env.DWM_TRACE?.split(',').includes('kernels'))
    traceKernels(device, (line) => console.error(line));
  return device;
}

function adapterFromEnvironment(): AdapterName | undefined {
  const name = process.env.DWM_ADAPTER;
  if (!name) return undefined;
  if (!ADAPTERS.includes(name as AdapterName)) {
    throw new InvalidArgumentError('DWM_ADAPTER', `expected one of ${ADAPTERS.join(', ')}, got "${name}"`, {
      expected: ADAPTERS,
      actual: name,
    });
  }
  return name as AdapterName;
}

function dawnFlags({ robustness = true }: NodeOpenOptions): string[] {
  const enable = [
    'allow_unsafe_apis', // subgroup matrices are still an experiment of Chromium's
    'use_vulkan_memory_model', // which they need; ignored by drivers without it
    'vulkan_enable_f16_on_nvidia',
  ];
  if (!robustness) enable.push('disable_robustness');
  // Otherwise timestamps come in steps of 65 us.
  return [`enable-dawn-features=${enable.join(',')}`, 'disable-dawn-features=timestamp_quantization'];
}

/** What `name` stands for on this machine, or undefined. Costs about 50 ms. */
export async function describeAdapter(name: AdapterName): Promise<string | undefined> {
  const found = await firstAdapter(name, []).catch((error) => {
    if (error instanceof NoAdapterError) return undefined;
    throw error;
  });
  return found && (found.info.description || found.info.device);
}

async function findAdapter(wanted: AdapterName | undefined, flags: string[]): Promise<GPUAdapter> {
  const found = await firstAdapter(wanted, flags);
  if (found) return found;
  throw new NoAdapterError(
    `no ${wanted ?? ''} adapter on this machine: ${INSTALL[wanted ?? 'swiftshader']}`,
    {
      adapter: wanted,
    },
  );
}

/** Dawn takes the first device with `name` in its name. @throws NoAdapterError where that is another one, or none. */
async function namedAdapter(name: string, flags: string[]): Promise<GPUAdapter> {
  const found = await request([`adapter=${name}`, ...flags]);
  // As WebGPU writes names of devices.
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  if (found && plain(found.info.device) === plain(name)) return found;
  throw new NoAdapterError(
    found
      ? `Dawn opens ${found.info.device} in place of ${name}; let the scheduler show each process one device`
      : `Dawn does not open ${name}; update its driver (\`dwm doctor\` says what there is), or take another device`,
    { adapter: name },
  );
}

async function firstAdapter(
  wanted: AdapterName | undefined,
  flags: string[],
): Promise<GPUAdapter | undefined> {
  switch (wanted) {
    case 'null':
      return request(['backend=null', ...flags]);
    case 'lavapipe':
      return request(['adapter=llvmpipe', ...flags]);
    case 'swiftshader':
      return withSwiftShader(() => request(flags));
    case 'hardware': {
      const found = await request(flags);
      return found?.info.isFallbackAdapter ? undefined : found;
    }
    default:
      // Dawn lists GPUs before software drivers, so one request serves the first two choices.
      return (await request(flags)) ?? withSwiftShader(() => request(flags));
  }
}

/** The npm package `webgpu`, whose constants are then global as in a browser. */
async function dawn(): Promise<typeof import('webgpu')> {
  const module = await import('webgpu').catch((error) => {
    throw new NoAdapterError(
      `the npm package webgpu (Dawn) does not load on ${process.platform}-${process.arch} (${(error as Error).message.split('\n')[0]}); npm install webgpu`,
    );
  });
  Object.assign(globalThis, module.globals);
  return module;
}

async function request(flags: string[]): Promise<GPUAdapter | undefined> {
  // The Vulkan loader reads them when an instance is made.
  const { VK_ICD_FILENAMES, VK_DRIVER_FILES } = process.env;
  const key = JSON.stringify([flags, VK_ICD_FILENAMES, VK_DRIVER_FILES]);
  const instance = instances.get(key) ?? (await dawn()).create(flags);
  instances.set(key, instance);
  // With an adapter's name in the flags, Dawn throws where it otherwise answers null.
  const ask = () => instance.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  const adapter = await adapterRequests.around(ask);
  return adapter ?? undefined;
}

/** Bytes of memory in this machine, or in the container if that has less. */
export function machineMemory(): number {
  const container = process.constrainedMemory();
  return container > 0 ? Math.min(container, totalmem()) : totalmem();
}

/**
 * Software adapters promise far more than the machine has, and the process is killed while it fills its
 * buffers. A tenth is left to the process itself.
 */
function softwareMemoryLimit(): number {
  return Math.floor(0.9 * machineMemory());
}
