/**
 * Dawn says two things about every driver on standard error, and a stack where there is none, out of C++: nothing in
 * JavaScript sees them pass. While Dawn looks for an adapter, standard error goes through `grep`, which leaves those
 * lines out and lets all else through, also where the driver takes the process with it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { openLibc } from './native-library.ts';

/** What says nothing that `dwm doctor` does not say better. */
const NOISE = [
  '^Warning: maxDynamic(Uniform|Storage)BuffersPerPipelineLayout artificially reduced from [0-9]+ to [0-9]+ ',
  "^Warning: Couldn't load Vulkan: ",
  '^Warning: vkCreateInstance: Found no drivers!$',
  '^Warning: vkCreateInstance failed with VK_ERROR_INCOMPATIBLE_DRIVER$',
  '^    at [A-Za-z()]+ \\(.*/dawn/src/dawn/native/vulkan/[A-Za-z]+\\.cpp:[0-9]+\\)$',
  '^$',
].join('|');

const STDERR = 2;

interface Descriptors {
  dup(descriptor: number): number;
  dup2(from: number, to: number): number;
  close(descriptor: number): number;
}

/** The C library's, which Node has no names for; undefined where there is none of that name. */
async function descriptors(): Promise<Descriptors | undefined> {
  try {
    const { call: native, types } = await openLibc();
    const call =
      (name: string) =>
      (...values: number[]) =>
        native(
          name,
          types.I32,
          values.map(() => types.I32),
          values,
        );
    return { dup: call('dup'), dup2: call('dup2'), close: call('close') };
  } catch {
    return undefined;
  }
}

/**
 * Runs `ask`, which calls Dawn before it first waits. On other systems than Linux Dawn has nothing to say, and without
 * `grep` it says it.
 */
export async function withoutDawnNoise<T>(ask: () => Promise<T>): Promise<T> {
  if (process.platform !== 'linux') return ask();
  const libc = await descriptors();
  if (!libc) return ask();
  const filter = spawn('grep', ['-v', '-E', NOISE], { stdio: ['pipe', STDERR, 'ignore'] });
  const ended = new Promise((done) => filter.once('close', done));
  const started = await once(filter, 'spawn').then(
    () => true,
    () => false,
  );
  // A pipe of Node's is a socket, whose number has no public name.
  const input = (filter.stdin as Socket & { readonly _handle?: { readonly fd?: number } })._handle?.fd ?? -1;
  const kept = started && input >= 0 ? libc.dup(STDERR) : -1;
  if (kept < 0) {
    filter.kill();
    return ask();
  }
  libc.dup2(input, STDERR);
  const answer = (async () => ask())();
  libc.dup2(kept, STDERR);
  libc.close(kept);
  filter.stdin!.end();
  await Promise.allSettled([ended, answer]);
  return answer;
}
