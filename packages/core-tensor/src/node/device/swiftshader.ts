/**
 * SwiftShader, a Vulkan driver in software, out of the npm package `@sparticuz/chromium`: what lets Dawn run
 * on a machine with no GPU, no driver and no Vulkan loader. It is unpacked once into the user's cache.
 *
 * Nothing needs to be set before the process starts. Dawn asks the dynamic linker for `libvulkan.so.1`, which
 * answers with a library of that name that is already loaded, so we load ours first; and the Vulkan loader
 * reads the driver's path from the environment each time an instance is made.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isMainThread } from 'node:worker_threads';
import { createBrotliDecompress } from 'node:zlib';
import { NoAdapterError } from '../../device/errors.ts';

const PACKAGE = '@sparticuz/chromium';
const LOADER = 'libvulkan.so.1';
const ICD = 'vk_swiftshader_icd.json';
const FILES = [LOADER, 'libvk_swiftshader.so', ICD];

// glibc's dlopen flag to keep a library loaded; Node lists only the portable ones.
const RTLD_NODELETE = 0x1000;

/**
 * The folder that holds SwiftShader, unpacked there first if need be:
 * `$XDG_CACHE_HOME/dwm/swiftshader-<version>`, `~/.cache` standing in for an unset variable.
 * @throws NoAdapterError where the package does not run (it is for Linux on x64), or cannot be unpacked.
 */
export async function swiftShaderFolder(): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new NoAdapterError(
      `SwiftShader is packaged for Linux on x64 only, this is ${process.platform} on ${process.arch}: install a Vulkan driver`,
    );
  }
  const main = installedMain();
  const packageRoot = main.slice(0, main.lastIndexOf(PACKAGE) + PACKAGE.length);
  const { version } = createRequire(import.meta.url)(join(packageRoot, 'package.json')) as {
    version: string;
  };
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'dwm', `swiftshader-${version}`);
  if (isComplete(folder)) return folder;
  try {
    await unpack(join(packageRoot, 'bin/swiftshader.tar.br'), folder);
  } catch (error) {
    throw new NoAdapterError(
      `${folder}: cannot unpack SwiftShader (${(error as Error).message}): remove the folder if it is there, ` +
        'or set XDG_CACHE_HOME to a folder that you can write',
      { folder },
    );
  }
  return folder;
}

function installedMain(): string {
  try {
    return createRequire(import.meta.url).resolve(PACKAGE);
  } catch {
    throw new NoAdapterError(
      `no GPU and no software driver on this machine: npm install ${PACKAGE} tar-fs brings SwiftShader`,
    );
  }
}

/** Unpacked beside its place and renamed: two processes may come here at once, and either may be killed. */
async function unpack(archive: string, folder: string): Promise<void> {
  const { default: tar } = await import('tar-fs');
  const partial = `${folder}.${randomUUID()}`;
  await mkdir(dirname(folder), { recursive: true });
  try {
    await pipeline(
      createReadStream(archive),
      createBrotliDecompress(),
      tar.extract(partial, {
        ignore: (path) => path !== partial && !FILES.includes(path.slice(partial.length + 1)),
        // As root, tar would hand the files to whichever user has the packer's number.
        map: (header) => ({ ...header, uid: process.getuid!(), gid: process.getgid!() }),
      }),
    );
    await rename(partial, folder).catch((error) => {
      if (!isComplete(folder)) throw error;
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

function isComplete(folder: string): boolean {
  return FILES.every((name) => existsSync(join(folder, name)));
}

/** Runs `request` while SwiftShader is the one Vulkan driver that this process sees. */
export async function withSwiftShader<T>(request: () => Promise<T>): Promise<T> {
  if (!isMainThread) {
    // A worker's process.env is a copy that the Vulkan loader, which is C, never sees.
    throw new NoAdapterError('SwiftShader opens only on the main thread: open the device there');
  }
  const folder = await swiftShaderFolder();
  preload(join(folder, LOADER));
  const set = { VK_ICD_FILENAMES: join(folder, ICD), VK_DRIVER_FILES: join(folder, ICD) };
  const saved = Object.keys(set).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, set);
  try {
    return await request();
  } finally {
    for (const [name, value] of saved) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

function preload(library: string): void {
  try {
    process.dlopen(
      { exports: {} },
      library,
      constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE,
    );
  } catch {
    // Always ends here: the library is no Node addon. It is loaded all the same, and stays.
  }
}
