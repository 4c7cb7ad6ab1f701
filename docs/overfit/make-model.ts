/**
 * A small transformer with random weights, beside the golden run's VAE and scheduler, and a prompt's embedding:
 * what `docs/training.md` overfits one clip with.
 *
 *     npx tsx docs/overfit/make-model.ts MODEL_DIR EMBEDS_FILE
 */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { elementCount, randomReference, type SafetensorsTensor } from '@dwm/core-tensor';
import { readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { readTransformerConfig, transformerParameters } from '@dwm/dwm-model';

const golden = join(import.meta.dirname, '../../packages/dwm-model/tests/golden/pipeline_e2e');
const [model, embeds] = process.argv.slice(2);
await mkdir(join(model, 'transformer'), { recursive: true });
for (const part of ['vae', 'scheduler']) await cp(join(golden, part), join(model, part), { recursive: true });

const json = {
  ...JSON.parse(await readFile(join(golden, 'transformer/config.json'), 'utf8')),
  num_attention_heads: 4,
  attention_head_dim: 32,
  time_embed_dim: 128,
};
await writeFile(join(model, 'transformer/config.json'), `${JSON.stringify(json, undefined, 2)}\n`);
const specs = transformerParameters(readTransformerConfig(json, 'config.json'));
const tensors = new Map<string, SafetensorsTensor>();
let stream = 0;
for (const [name, { shape }] of Object.entries(specs)) {
  const count = elementCount(shape);
  const isNorm = /norm(1\.norm|2\.norm|_q|_k|_final|_out\.norm)\.weight$/.test(name);
  // Modulations and the output start near nothing, so that blocks start near the identity.
  const small = /norm(1|2|_out)\.linear|^proj_out/.test(name);
  const std = shape.length === 1 ? 0 : small ? 0.02 : (count / shape[0]) ** -0.5;
  const normals = randomReference({ count, distribution: 'normal', stream: stream++ }, [1, 1]);
  const data = Float32Array.from(normals, (value) => (isNorm ? 1 : std * value));
  tensors.set(name, { dtype: 'F32', shape, data });
}
await saveSafetensors(join(model, 'transformer/diffusion_pytorch_model.safetensors'), tensors);

const io = await readSafetensors(join(golden, 'io.safetensors'));
await mkdir(dirname(embeds), { recursive: true });
await saveSafetensors(embeds, new Map([['prompt_embeds', io.get('in.prompt_embeds')!]]));
