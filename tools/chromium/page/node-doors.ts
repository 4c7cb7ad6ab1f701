/** `@dwm/core-tensor/node` in a page: the browser's device, and files by URL. */
import { type Device, type OpenOptions, openBrowserDevice } from '@dwm/core-tensor';
import {
  type ModelFolder,
  openSafetensors,
  openUrl,
  type SafetensorsTensor,
  urlFolder,
} from '@dwm/core-tensor/files';

/** A test that asks for what only Node has is skipped. */
export class NotInBrowser extends Error {
  override readonly name = 'NotInBrowser';
}

export async function openNodeDevice(
  options: OpenOptions & { adapter?: string; robustness?: boolean } = {},
): Promise<Device> {
  if (options.adapter !== undefined || options.robustness === false)
    throw new NotInBrowser('a page cannot choose its adapter or its bounds checks');
  return openBrowserDevice(options);
}

export async function readSafetensors(path: string): Promise<Map<string, SafetensorsTensor>> {
  const checkpoint = await openSafetensors(await openUrl(path));
  const tensors = new Map<string, SafetensorsTensor>();
  for (const name of checkpoint.tensors.keys()) tensors.set(name, await checkpoint.readTensor(name));
  return tensors;
}

export const openDirectory = async (path: string): Promise<ModelFolder> => urlFolder(path);
