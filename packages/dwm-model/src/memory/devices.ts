/**
 * Devices that a run can be planned for without having one: what they report to WebGPU, their memory and their pace.
 */
import { type Device, type DeviceCaps, InvalidArgumentError, type KernelTarget } from '@dwm/core-tensor';
import { Decisions } from '@dwm/core-tensor/tune';

/** How fast a device is expected to be. */
export interface Pace {
  /** 10^12 floating-point operations a second, over a whole run. */
  readonly teraflops: number;
  /** 10^9 bytes a second from a file onto the device. */
  readonly loadGBps: number;
}

/** What a plan is made for. */
export interface PlanTarget extends KernelTarget {
  readonly name: string;
  /** Bytes that a run may take on the device; Infinity where nobody knows. */
  readonly budget: number;
  readonly pace?: Pace | undefined;
}

const GPU_LIMITS: DeviceCaps['limits'] = {
  maxStorageBufferBindingSize: 2 ** 31 - 4,
  maxBufferSize: 2 ** 32 - 2 ** 21,
  maxComputeWorkgroupStorageSize: 49152,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
  maxComputeWorkgroupSizeY: 1024,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
  minStorageBufferOffsetAlignment: 32,
  minUniformBufferOffsetAlignment: 64,
  maxStorageBuffersPerShaderStage: 16,
};

/** What WebGPU promises everywhere. */
const DEFAULT_LIMITS: DeviceCaps['limits'] = {
  maxStorageBufferBindingSize: 2 ** 27,
  maxBufferSize: 2 ** 28,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
  minStorageBufferOffsetAlignment: 256,
  minUniformBufferOffsetAlignment: 256,
  maxStorageBuffersPerShaderStage: 8,
};

const matrices = (size: number) =>
  ['f16', 'f32'].map((resultComponentType) => ({
    ...{ componentType: 'f16', resultComponentType, M: size, N: size, K: size },
  }));

const caps = (
  device: string,
  limits: DeviceCaps['limits'],
  subgroup: number,
  matrix: number | undefined,
): DeviceCaps => ({
  adapter: {
    ...{ vendor: '', architecture: '', device, description: device, isFallback: false, kind: 'hardware' },
  },
  features: {
    f16: subgroup > 0,
    subgroups: subgroup > 0,
    subgroupSizeControl: false,
    ...{ subgroupMinSize: subgroup, subgroupMaxSize: subgroup },
    subgroupMatrixConfigs: matrix ? matrices(matrix) : [],
    timestampQuery: false,
  },
  limits,
});

/**
 * Memory is what is free of it when nothing else runs; the pace a third of what the makers state for f32, and what a
 * PCIe slot or a fast disk brings.
 */
const DEVICES: Readonly<Record<string, PlanTarget>> = {
  rtx4090: {
    name: 'rtx4090',
    caps: caps('NVIDIA GeForce RTX 4090', GPU_LIMITS, 32, 16),
    budget: 23e9,
    pace: { teraflops: 27, loadGBps: 3 },
  },
  h200: {
    name: 'h200',
    caps: caps('NVIDIA H200', GPU_LIMITS, 32, 16),
    budget: 139e9,
    pace: { teraflops: 22, loadGBps: 3 },
  },
  m3: {
    name: 'm3',
    caps: caps(
      'Apple M3',
      { ...GPU_LIMITS, maxStorageBufferBindingSize: 2 ** 32 - 4, maxComputeWorkgroupStorageSize: 32768 },
      32,
      8,
    ),
    budget: 12e9,
    pace: { teraflops: 1.3, loadGBps: 3 },
  },
  default: {
    name: 'default',
    caps: caps("WebGPU's default limits", DEFAULT_LIMITS, 0, undefined),
    budget: 8e9,
    pace: { teraflops: 1, loadGBps: 1 },
  },
};

/** Names of the devices that a run can be planned for. */
export const PLAN_DEVICES = Object.keys(DEVICES);

/** @throws InvalidArgumentError for a name that is not known. */
export function planDevice(name: string): PlanTarget {
  const found = DEVICES[name];
  if (!found)
    throw new InvalidArgumentError(
      'device',
      `expected one of ${PLAN_DEVICES.join(', ')}, got "${name}"; leave it out for the device of this machine`,
    );
  return found;
}

/** A device that is there: what is on it already is taken off its memory. */
export const targetOf = ({ caps, decisions, memory }: Device): PlanTarget => ({
  name: caps.adapter.description || caps.adapter.device,
  ...{ caps, decisions, budget: memory.limit - memory.allocated },
});

/** What planning asks of a device: nothing is allocated on it. */
export const planningDevice = ({ caps, decisions = new Decisions(), budget }: PlanTarget): Device =>
  ({ caps, decisions, memory: { allocated: 0, peak: 0, buffers: 0, limit: budget } }) as unknown as Device;

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};

/** Bytes of `12GB`, `12GiB`, `800 MB`, `12g`. @throws InvalidArgumentError naming `memory`. */
export function parseBytes(text: string): number {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*$/i.exec(text) ?? [];
  const bytes = Number(number) * UNITS[(unit ?? '').toLowerCase()];
  if (!(bytes >= 1e6)) {
    const few = bytes > 0 ? `, which is ${bytes} bytes; did you mean ${number}GB?` : '';
    throw new InvalidArgumentError(
      'memory',
      `expected a number of bytes such as 12GB or 800MB, got "${text}"${few}`,
    );
  }
  return Math.floor(bytes);
}
