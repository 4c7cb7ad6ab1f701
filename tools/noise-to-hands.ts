/**
 * Makes a DWM one of a single step: npx tsx tools/noise-to-hands.ts FROM TO
 * In one step the noisy latents are nothing but noise. What the patch projection's weights read of them, they read of the
 * hands from now on: the hands' own weights began at zero, and stay small beside the others for thousands of steps.
 */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';

const FILE = 'transformer/diffusion_pytorch_model.safetensors';
const WEIGHT = 'patch_embed.proj.weight';

const [from, to, ...rest] = process.argv.slice(2);
if (!to || rest.length > 0) {
  process.stderr.write('expected two arguments: the model folder to read, and the one to write\n');
  process.exit(1);
}
const tensors = await readSafetensors(join(from, FILE));
const projection = tensors.get(WEIGHT);
const output = tensors.get('proj_out.weight');
if (!projection || !output) throw new Error(`${join(from, FILE)}: no ${WEIGHT} or proj_out.weight`);
const [width, channels, ...patch] = projection.shape;
const values = patch.reduce((a, b) => a * b, 1);
const latents = output.shape[0] / values;
if (channels !== 3 * latents + 1)
  throw new Error(
    `${WEIGHT}: expected ${3 * latents + 1} channels, noisy | mask | static | hands, got ${channels}`,
  );
const weight = Float32Array.from(projection.data as Float32Array);
for (let row = 0; row < width; row++) {
  const noise = row * channels * values;
  const hands = noise + (2 * latents + 1) * values;
  for (let i = 0; i < latents * values; i++) {
    weight[hands + i] += weight[noise + i];
    weight[noise + i] = 0;
  }
}
await cp(from, to, { recursive: true });
await saveSafetensors(join(to, FILE), tensors.set(WEIGHT, { ...projection, dtype: 'F32', data: weight }));
