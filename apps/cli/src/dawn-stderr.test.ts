/** In processes of their own: what C++ writes to standard error passes by everything that a test could put over it. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Finished } from './testing.ts';

const own = pathToFileURL(join(import.meta.dirname, 'dawn-stderr.ts')).href;
const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Runs a script that has `quietly` and, for what C++ does, `write`: both at once, past JavaScript's streams. */
function script(
  body: string,
  env: Record<string, string> = {},
): Promise<Finished & { signal: string | null }> {
  const text = `
    import { writeSync } from 'node:fs';
    const { withoutDawnNoise: quietly } = await import(${JSON.stringify(own)});
    const write = (line) => writeSync(2, line + '\\n');
    ${body}`;
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, ['--import', loader, '--input-type=module', '-e', text], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', fail);
    child.on('close', (code, signal) => done({ code, signal, stdout, stderr }));
  });
}

const LIMITS = [
  'Warning: maxDynamicUniformBuffersPerPipelineLayout artificially reduced from 1000000 to 16 to fit dynamic offset allocation limit.',
  'Warning: maxDynamicStorageBuffersPerPipelineLayout artificially reduced from 500000 to 16 to fit dynamic offset allocation limit.',
];
const NO_VULKAN = [
  "Warning: Couldn't load Vulkan: libvulkan.so.1: cannot open shared object file: No such file or directory",
  '    at operator() (/home/runner/work/node-webgpu/node-webgpu/third_party/dawn/src/dawn/native/vulkan/BackendVk.cpp:368)',
  '',
  'Warning: vkCreateInstance: Found no drivers!',
  'Warning: vkCreateInstance failed with VK_ERROR_INCOMPATIBLE_DRIVER',
  '    at CheckVkSuccessImpl (/home/runner/work/node-webgpu/node-webgpu/third_party/dawn/src/dawn/native/vulkan/VulkanError.cpp:106)',
  '',
];

describe.skipIf(process.platform !== 'linux')('while Dawn looks for an adapter', () => {
  test("Dawn's lines are left out, all others pass, in order, and later ones too", async () => {
    const lines = [
      ...LIMITS,
      'MESA: error: a line of the driver',
      ...NO_VULKAN,
      'Warning: of something else',
    ];
    const ran = await script(`
      write('before');
      const given = await quietly(async () => {
        for (const line of ${JSON.stringify(lines)}) write(line);
        await undefined;
        return 7;
      });
      write(${JSON.stringify(LIMITS[0])});
      console.log(given);
      await quietly(() => { write('one'); throw new RangeError('two'); }).catch((error) => write(error.message));
      await quietly(async () => { throw new RangeError('three'); }).catch((error) => write(error.message));
      process.exitCode = 3;`);
    expect(ran).toEqual({
      ...{ code: 3, signal: null, stdout: '7\n' },
      stderr: `before\nMESA: error: a line of the driver\nWarning: of something else\n${LIMITS[0]}\none\ntwo\nthree\n`,
    });
  });

  test('what a driver says before it takes the process with it is not lost, nor how it ended', async () => {
    const ran = await script(`
      await quietly(async () => {
        write('MESA: error: out of memory');
        process.kill(process.pid, 'SIGKILL');
      });`);
    expect(ran).toMatchObject({ code: null, signal: 'SIGKILL', stderr: 'MESA: error: out of memory\n' });
  });

  test('without grep everything passes', async () => {
    const line = JSON.stringify(LIMITS[1]);
    const bare = await script(`await quietly(async () => write(${line}));`, { PATH: '/nowhere' });
    expect(bare).toMatchObject({ code: 0, stderr: `${LIMITS[1]}\n` });
  });
});
