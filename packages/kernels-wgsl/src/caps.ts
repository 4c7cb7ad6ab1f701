/**
 * What a kernel may choose by: the device described as plain data, so that a choice can be made, stored
 * and tested without a GPU. Kernels choose by capability, never by an adapter's name.
 */

/** One matrix shape the device multiplies across a subgroup; component types are WGSL scalar names. */
export interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** The device as data: JSON round trips it unchanged. Sizes are in bytes. */
export interface DeviceCaps {
  readonly adapter: {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
    readonly isFallback: boolean;
    /** `software` runs its shaders on the CPU. */
    readonly kind: 'hardware' | 'software';
  };
  readonly features: {
    readonly f16: boolean;
    readonly subgroups: boolean;
    /** Both 0 without subgroups. */
    readonly subgroupMinSize: number;
    readonly subgroupMaxSize: number;
    /** Whether a kernel may ask for subgroups of one of these sizes; otherwise the driver chooses. */
    readonly subgroupSizeControl: boolean;
    /** Empty without subgroup matrices. */
    readonly subgroupMatrixConfigs: readonly SubgroupMatrixConfig[];
    readonly timestampQuery: boolean;
  };
  readonly limits: {
    readonly maxStorageBufferBindingSize: number;
    readonly maxBufferSize: number;
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxComputeInvocationsPerWorkgroup: number;
    readonly maxComputeWorkgroupSizeX: number;
    readonly maxComputeWorkgroupSizeY: number;
    readonly maxComputeWorkgroupSizeZ: number;
    readonly maxComputeWorkgroupsPerDimension: number;
    readonly minStorageBufferOffsetAlignment: number;
    readonly minUniformBufferOffsetAlignment: number;
    readonly maxStorageBuffersPerShaderStage: number;
  };
}

/**
 * Lanes of a CPU's vector, where a subgroup of the device is one: there a workgroup of several subgroups costs as
 * much as many steps, and a loop in one subgroup costs nothing. 0 on other devices.
 */
export const cpuLanes = ({ features, adapter }: DeviceCaps): number =>
  adapter.kind === 'software' &&
  features.subgroups &&
  features.subgroupMinSize === features.subgroupMaxSize &&
  [4, 8, 16].includes(features.subgroupMinSize)
    ? features.subgroupMinSize
    : 0;

/** How a kernel gets subgroups of a known size. */
interface KnownSubgroups {
  readonly lanes: number;
  /** What the module starts with, and its entry point. */
  readonly enables: string;
  readonly attribute: string;
}

/** Undefined where the driver chooses among several sizes: a kernel that counts on one would be wrong there. */
export function knownSubgroups({ features }: DeviceCaps): KnownSubgroups | undefined {
  const { subgroups, subgroupMinSize, subgroupMaxSize: lanes, subgroupSizeControl } = features;
  if (!subgroups) return undefined;
  if (subgroupMinSize === lanes) return { lanes, enables: '', attribute: '' };
  if (!subgroupSizeControl) return undefined;
  return { lanes, enables: 'enable subgroup_size_control;\n', attribute: `@subgroup_size(${lanes}) ` };
}

/** `code`, a module with one entry point, with those subgroups. */
export const withSubgroups = (code: string, { attribute }: KnownSubgroups): string =>
  code.replace('@compute ', `@compute ${attribute}`);
