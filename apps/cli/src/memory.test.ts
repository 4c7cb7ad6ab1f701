/** A model whose weights are four times the JavaScript heap. */
import { cp, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readTransformerConfig, transformerParameters } from '@dwm/dwm-model/parts';
import { writePng } from '@dwm/media/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dwm, temporaryFolder } from './testing.ts';

const golden = join(import.meta.dirname, '../../../packages/dwm-model/tests/golden/pipeline_e2e');

let folder: string;
let weightBytes = 0;
beforeAll(async () => {
  folder = await temporaryFolder();
  for (const part of ['vae', 'scheduler'])
    await cp(join(golden, part), join(folder, part), { recursive: true });
  const small = JSON.parse(await readFile(join(golden, 'transformer/config.json'), 'utf8'));
  const config = { ...small, num_attention_heads: 16, attention_head_dim: 64, num_layers: 20 };
  await mkdir(join(folder, 'transformer'));
  await writeFile(join(folder, 'transformer/config.json'), JSON.stringify(config));
  const header: Record<string, unknown> = {};
  for (const [name, { shape }] of Object.entries(
    transformerParameters(readTransformerConfig(config, 'config')),
  )) {
    const bytes = shape.reduce((a, b) => a * b, 4);
    header[name] = { dtype: 'F32', shape, data_offsets: [weightBytes, weightBytes + bytes] };
    weightBytes += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(join(folder, 'transformer/diffusion_pytorch_model.safetensors'), 'w');
  await file.writeFile(Buffer.concat([length, json]));
  // The weights themselves are a hole in the file, which reads as zeros and takes no room on the disk.
  await file.truncate(8 + json.length + weightBytes);
  await file.close();
});
afterAll(() => rm(folder, { recursive: true }));

test('1 GB of weights generate in a heap of 256 MB, and are never in memory twice', async () => {
  expect(weightBytes).toBeGreaterThan(1e9);
  const frames = join(folder, 'frames');
  for (let i = 0; i < 5; i++) {
    const data = new Uint8Array(32 * 32 * 3).map((_, k) => (i * 40 + k) % 256);
    await writePng(join(frames, `${i}.png`), { height: 32, width: 32, data });
  }
  let pid: number | undefined;
  let peak = 0;
  const watch = setInterval(async () => {
    const status = pid && (await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''));
    peak = Math.max(peak, 1024 * Number(/VmHWM:\s*(\d+) kB/.exec(status || '')?.[1] ?? 0));
  }, 200);
  const args = ['generate', '--model', folder, '--static', frames, '--hands', frames, '--json'];
  args.push('--prompt-embeds', join(golden, 'io.safetensors'), '--out', join(folder, 'out/x.mp4'));
  args.push('--height', '32', '--width', '32', '--num-frames', '5', '--num-inference-steps', '1');
  const result = await dwm(args, {
    env: { NODE_OPTIONS: '--max-old-space-size=256' },
    started: (child) => {
      pid = child.pid;
    },
  });
  clearInterval(watch);
  expect(result.code, result.stderr).toBe(0);
  const { clips } = JSON.parse(await readFile(join(folder, 'out/metadata.json'), 'utf8'));
  expect(clips['x.mp4'].peakDeviceBytes).toBeGreaterThan(weightBytes);
  expect(clips['x.mp4'].peakDeviceBytes).toBeLessThan(1.1 * weightBytes);
  // On a CPU adapter the device's memory is the process's own; only Linux tells how much that was.
  if (process.platform === 'linux') {
    expect(peak).toBeGreaterThan(1e8);
    expect(peak).toBeLessThan(2 * weightBytes);
  }
}, 180_000);
