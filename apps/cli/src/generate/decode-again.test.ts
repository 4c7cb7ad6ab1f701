/** A clip whose denoising fits on the device and whose decoding does not, and what `--resume` makes of it. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Device, OutOfMemoryError } from '@dwm/core-tensor';
import { toFloat32 } from '@dwm/core-tensor/files';
import { readSafetensors } from '@dwm/core-tensor/node';
import { writePng } from '@dwm/media/node';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { addGenerate } from '../commands/generate.ts';
import { temporaryFolder } from '../testing.ts';

const golden = join(import.meta.dirname, '../../../../packages/dwm-model/tests/golden/pipeline_e2e');
const [HEIGHT, WIDTH] = [64, 64];

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await temporaryFolder();
  vi.stubEnv('DWM_TUNE', 'off');
  for (let i = 0; i < 5; i++) {
    const data = Uint8Array.from(
      { length: HEIGHT * WIDTH * 3 },
      (_, k) => 90 + 60 * Math.sin(k / 700 + i / 5),
    );
    await writePng(at(`scene/${i}.png`), { height: HEIGHT, width: WIDTH, data });
  }
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => vi.unstubAllEnvs());
afterAll(() => rm(folder, { recursive: true }));

/** `dwm generate` in this process, in whole frames. @returns what it says. */
async function generate(out: string, ...more: string[]): Promise<string> {
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const program = new Command('dwm').exitOverride();
  addGenerate(program);
  const args = [
    'generate',
    '--model',
    golden,
    '--static',
    at('scene'),
    '--hands',
    at('scene'),
    '--no-tiling',
  ];
  args.push(
    '--prompt-embeds',
    join(golden, 'io.safetensors'),
    '--num-inference-steps',
    '1',
    '--num-frames',
    '5',
  );
  args.push('--height', String(HEIGHT), '--width', String(WIDTH), '--out', at(`${out}.mp4`));
  await program.parseAsync([...args, '--save-tensors', at(`${out}.bin`), ...more], { from: 'user' });
  return said.mock.calls.map(([text]) => String(text)).join('');
}

/** A driver that has only so much memory, and does not say so before. */
function capDevice(bytes: number): void {
  const create = Device.prototype.createBuffer;
  vi.spyOn(Device.prototype, 'createBuffer').mockImplementation(function (
    this: Device,
    size,
    usage,
    label,
    ...rest
  ) {
    const { allocated } = this.memory;
    if (allocated + size <= bytes) return create.call(this, size, usage, label, ...rest);
    const reason = 'refused by the driver';
    throw new OutOfMemoryError({ requestedBytes: size, allocatedBytes: allocated, label, reason });
  });
}

const peakOf = async (out: string) =>
  JSON.parse(await readFile(at('metadata.json'), 'utf8')).clips[`${out}.mp4`].peakDeviceBytes as number;
const tensors = async (file: string) => {
  const read = await readSafetensors(at(file));
  return (name: string) => toFloat32(read.get(name)!);
};

test('what does not fit while decoding keeps its latents, and --resume makes the clip of them in smaller tiles', async () => {
  await generate('whole');
  const cap = 0.85 * (await peakOf('whole'));
  capDevice(cap);
  const failed = await generate('short').catch((error: Error) => error.message);
  expect(failed).toMatch(
    /^out of GPU memory: \d+ bytes for .* do not fit .*short_latents\.safetensors: the same command with --resume decodes them again, in smaller tiles$/,
  );
  expect((await readdir(folder)).filter((name) => name.startsWith('short'))).toEqual([
    'short_latents.safetensors',
  ]);
  const whole = await tensors('whole.bin');
  expect((await tensors('short_latents.safetensors'))('latents')).toEqual(whole('latents'));

  expect(await generate('short', '--resume')).toMatch(/are decoded in tiles of 40x48$/m);
  expect(await peakOf('short')).toBeLessThan(cap);
  const made = await tensors('short.bin');
  expect(made('latents')).toEqual(whole('latents'));
  const [got, want] = [made('video'), whole('video')];
  const square = want.reduce((sum, value, i) => sum + (value - got[i]) ** 2, 0) / want.length;
  // Of weights of chance: a norm sees its tile alone.
  expect(-10 * Math.log10(square)).toBeGreaterThan(18);
  expect(await readdir(folder)).not.toContain('short_latents.safetensors');
}, 240_000);
