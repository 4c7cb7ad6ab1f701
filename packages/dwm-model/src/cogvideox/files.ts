/** The files that a model in diffusers' layout consists of. */
import type { ModelFolder } from '@dwm/core-tensor/files';
import { ModelFileList } from '../weights/model-files.ts';

const OPTIONAL = ['model_index.json', 'generation.json', 'prompt_embeds.safetensors'];

/** A network's weights, without their ending. */
const WEIGHTS = {
  transformer: 'transformer/diffusion_pytorch_model',
  vae: 'vae/diffusion_pytorch_model',
  text_encoder: 'text_encoder/model',
} as const;

/** Either will do. */
export const T5_TOKENIZERS = ['tokenizer/spiece.model', 'tokenizer/tokenizer.json'];

/**
 * Paths in the folder. A model may have no text encoder, and then needs no tokenizer.
 * @throws InvalidFileError that names every file that is missing.
 */
export async function cogVideoXFiles(folder: ModelFolder): Promise<string[]> {
  const files = new ModelFileList(folder);
  for (const path of OPTIONAL) await files.has(path);
  await files.need('scheduler/scheduler_config.json');
  for (const network of ['transformer', 'vae'] as const) {
    await files.need(`${network}/config.json`);
    await files.needWeights(WEIGHTS[network]);
  }
  if (await files.has('text_encoder/config.json')) {
    await files.needWeights(WEIGHTS.text_encoder);
    const tokenizers = await Promise.all(T5_TOKENIZERS.map((path) => files.has(path)));
    if (!tokenizers.includes(true)) files.missing.push(T5_TOKENIZERS.join(' or '));
  }
  return files.whole();
}
