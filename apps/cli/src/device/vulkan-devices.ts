/** The devices that Vulkan lists, in its order: Dawn lists none, and takes one by its name only. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openLibrary } from '../native-library.ts';

export interface VulkanDevice {
  readonly name: string;
  /** A driver in software. */
  readonly software: boolean;
  readonly vendor: number;
  readonly device: number;
}

/** From vulkan_core.h. */
const INSTANCE_CREATE_INFO = { bytes: 64, type: 1 };
const PROPERTIES = { bytes: 824, vendor: 8, device: 12, type: 16, name: 20, nameBytes: 256 };
const TYPE_CPU = 4;
const MOST = 64;

/** @returns undefined where there is no Vulkan loader. */
export async function vulkanDevices(): Promise<VulkanDevice[] | undefined> {
  const library = await openLibrary('libvulkan.so.1').catch(() => undefined);
  if (!library) return undefined;
  const { call, types } = library;
  const { I32, I64, U8Array, Void } = types;
  const info = Buffer.alloc(INSTANCE_CREATE_INFO.bytes);
  info.writeUInt32LE(INSTANCE_CREATE_INFO.type);
  const instance = Buffer.alloc(8);
  // No driver at all is an error here.
  if (call('vkCreateInstance', I32, [U8Array, I64, U8Array], [info, 0, instance]) !== 0) return [];
  const handle = Number(instance.readBigUInt64LE());
  try {
    const count = Buffer.alloc(4);
    count.writeUInt32LE(MOST);
    const handles = Buffer.alloc(8 * MOST);
    if (call('vkEnumeratePhysicalDevices', I32, [I64, U8Array, U8Array], [handle, count, handles]) < 0)
      return [];
    return Array.from({ length: count.readUInt32LE() }, (_, i) => {
      const found = Buffer.alloc(PROPERTIES.bytes);
      const device = Number(handles.readBigUInt64LE(8 * i));
      call('vkGetPhysicalDeviceProperties', Void, [I64, U8Array], [device, found]);
      const name = found.subarray(PROPERTIES.name, PROPERTIES.name + PROPERTIES.nameBytes);
      return {
        name: name.toString('utf8', 0, name.indexOf(0)),
        software: found.readUInt32LE(PROPERTIES.type) === TYPE_CPU,
        vendor: found.readUInt32LE(PROPERTIES.vendor),
        device: found.readUInt32LE(PROPERTIES.device),
      };
    });
  } finally {
    call('vkDestroyInstance', Void, [I64, I64], [handle, 0]);
  }
}

/** Addresses of such devices on the PCI bus, ascending: `0000:41:00.0`. */
export function pciAddresses({ vendor, device }: VulkanDevice, root = '/sys/bus/pci/devices'): string[] {
  const number = (address: string, file: string) => {
    try {
      return Number(readFileSync(join(root, address, file), 'utf8').trim());
    } catch {
      return Number.NaN;
    }
  };
  try {
    return readdirSync(root)
      .filter((at) => number(at, 'vendor') === vendor && number(at, 'device') === device)
      .sort();
  } catch {
    return [];
  }
}
