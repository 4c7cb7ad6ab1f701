/**
 * Reading a device's capabilities into plain data, and choosing what to ask an adapter for: every feature
 * that makes a kernel faster, and the largest limits there are.
 */
import type { DeviceCaps, SubgroupMatrixConfig } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';

export type { DeviceCaps, SubgroupMatrixConfig } from '@dwm/kernels-wgsl';

const LIMITS = [
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
  'minStorageBufferOffsetAlignment',
  'minUniformBufferOffsetAlignment',
  'maxStorageBuffersPerShaderStage',
] as const satisfies readonly (keyof DeviceCaps['limits'])[];

/** Limits tightened on purpose, e.g. so that a test sees a tensor larger than one binding. */
export type LimitOverrides = Partial<DeviceCaps['limits']>;

const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';
const SIZE_CONTROL = 'subgroup-size-control';
const WANTED_FEATURES: readonly string[] = [
  ...['shader-f16', 'subgroups', SIZE_CONTROL, 'timestamp-query'],
  SUBGROUP_MATRIX,
];

interface SubgroupInfo {
  readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig>;
}

/**
 * The descriptor that asks for all of it. Dawn raises a limit below WebGPU's default back to that default,
 * so tightened limits are held in the caps (see `readCaps`) rather than asked for.
 */
export function deviceDescriptor(adapter: GPUAdapter): GPUDeviceDescriptor {
  const requiredLimits: Record<string, number> = {};
  // Limits are getters on the prototype: `Object.keys` would see none of them.
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') requiredLimits[name] = value;
  }
  const requiredFeatures = WANTED_FEATURES.filter((f) => adapter.features.has(f)) as GPUFeatureName[];
  return { label: 'dwm', requiredLimits, requiredFeatures };
}

/**
 * @param lowered limits to report tighter than the device's own.
 * @throws InvalidArgumentError for a limit looser than the device's.
 */
export function readCaps(adapter: GPUAdapter, gpu: GPUDevice, lowered: LimitOverrides = {}): DeviceCaps {
  const info = adapter.info as GPUAdapterInfo & SubgroupInfo;
  const subgroups = gpu.features.has('subgroups');
  const matrices = gpu.features.has(SUBGROUP_MATRIX as GPUFeatureName)
    ? (info.subgroupMatrixConfigs ?? [])
    : [];
  const isFallback = info.isFallbackAdapter ?? false;
  return {
    adapter: {
      vendor: info.vendor,
      architecture: info.architecture,
      device: info.device,
      description: info.description,
      isFallback,
      kind: isFallback || info.device === 'null-backend' ? 'software' : 'hardware',
    },
    features: {
      f16: gpu.features.has('shader-f16'),
      subgroups,
      subgroupMinSize: subgroups ? (info.subgroupMinSize ?? 4) : 0,
      subgroupMaxSize: subgroups ? (info.subgroupMaxSize ?? 128) : 0,
      subgroupSizeControl: subgroups && gpu.features.has(SIZE_CONTROL as GPUFeatureName),
      subgroupMatrixConfigs: Array.from(matrices, ({ componentType, resultComponentType, M, N, K }) => ({
        componentType,
        resultComponentType,
        M,
        N,
        K,
      })),
      timestampQuery: gpu.features.has('timestamp-query'),
    },
    limits: readLimits(gpu.limits, lowered),
  };
}

function readLimits(granted: GPUSupportedLimits, lowered: LimitOverrides): DeviceCaps['limits'] {
  const limits: Record<string, number> = {};
  for (const name of LIMITS) {
    const own = granted[name];
    const wanted = lowered[name] ?? own;
    const looser = name.startsWith('min') ? wanted < own : wanted > own;
    if (looser || !Number.isInteger(wanted) || wanted <= 0) {
      throw new InvalidArgumentError(
        `limits.${name}`,
        `expected a whole number no ${name.startsWith('min') ? 'smaller' : 'larger'} than this device's ${own}, got ${wanted}`,
        { expected: own, actual: wanted },
      );
    }
    limits[name] = wanted;
  }
  return limits as unknown as DeviceCaps['limits'];
}
