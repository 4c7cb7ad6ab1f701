/**
 * What `dwm doctor` says about the device, as data: what runs, how fast it can be, what else could run here,
 * and what is missing with the command that brings it.
 */
import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import type { DeviceCaps } from '../../device/caps.ts';
import type { Device } from '../../device/device.ts';
import { measurePeaks, type Peaks } from '../../device/probe.ts';
import { type AdapterName, describeAdapter, INSTALL, machineMemory, openNodeDevice } from './open.ts';

/** What this machine can run. */
export interface DoctorReport {
  /** The device that runs use: adapter, features, limits. */
  readonly device: DeviceCaps;
  readonly peaks: Peaks;
  /** Everything that could be forced with `DWM_ADAPTER`; `description` is undefined for what is not here. */
  readonly adapters: readonly { readonly name: AdapterName; readonly description?: string }[];
  readonly system: {
    readonly node: string;
    readonly platform: string;
    /** Version of the npm package `webgpu`, which is Dawn. */
    readonly dawn: string;
    readonly cpu: string;
    readonly cores: number;
    /** The machine's memory, or the container's if that is less. */
    readonly memoryBytes: number;
  };
  readonly missing: readonly { readonly what: string; readonly effect: string; readonly fix: string }[];
}

/**
 * Takes a second or two, most of it for the peaks.
 * @param device the device to look at; by default the one a run would open, closed again afterwards.
 * @throws as `openNodeDevice` and `Device.wait`.
 */
export async function doctorReport(device?: Device): Promise<DoctorReport> {
  const opened = device ?? (await openNodeDevice());
  try {
    const adapters = [];
    for (const name of ['hardware', 'lavapipe', 'swiftshader'] as const) {
      adapters.push({ name, description: await describeAdapter(name) });
    }
    return {
      device: opened.caps,
      peaks: await measurePeaks(opened),
      adapters,
      system: {
        node: process.versions.node,
        platform: `${process.platform} ${process.arch}`,
        dawn: createRequire(import.meta.url)('webgpu/package.json').version,
        cpu: cpus()[0]?.model ?? 'unknown',
        cores: availableParallelism(),
        memoryBytes: machineMemory(),
      },
      missing: missing(
        opened.caps,
        adapters.filter(({ description }) => !description).map(({ name }) => name),
      ),
    };
  } finally {
    if (!device) opened.destroy();
  }
}

const WITHOUT: Partial<Record<AdapterName, string>> = {
  hardware: 'everything runs on the CPU, hundreds of times slower',
  lavapipe: 'without a GPU, runs fall back to SwiftShader, which is several times slower and has no f16',
  swiftshader: 'no device is left when there is no driver',
};

function missing({ features, adapter }: DeviceCaps, absent: AdapterName[]): DoctorReport['missing'] {
  const entries = absent
    // With a GPU, nobody needs the software driver.
    .filter((name) => name !== 'lavapipe' || adapter.kind === 'software')
    .map((name) => ({ what: `${name} adapter`, effect: WITHOUT[name]!, fix: INSTALL[name] }));
  if (adapter.kind === 'hardware') {
    const fix = 'update the GPU driver';
    if (!features.f16)
      entries.push({ what: 'f16', effect: 'weights take f32 arithmetic, half as fast', fix });
    if (features.subgroupMatrixConfigs.length === 0) {
      entries.push({
        what: 'subgroup matrices',
        effect: 'no tensor cores: matrix products run on plain FMAs',
        fix,
      });
    }
  }
  return entries;
}
