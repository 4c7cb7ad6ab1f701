/** The files that a model in diffusers' layout consists of, found by asking for each: a server has no listing. */
import { checkpointFiles, InvalidFileError, type ModelFolder } from '@dwm/core-tensor';

const OPTIONAL = ['model_index.json', 'generation.json', 'prompt_embeds.safetensors'];

/** A network's weights, without their ending. */
const WEIGHTS = {
  transformer: 'transformer/diffusion_pytorch_model',
  vae: 'vae/diffusion_pytorch_model',
  text_encoder: 'text_encoder/model',
} as const;

/** Either will do. */
const TOKENIZERS = ['tokenizer/spiece.model', 'tokenizer/tokenizer.json'];

/**
 * Paths in the folder. A model may have no text encoder, and then needs no tokenizer.
 * @throws InvalidFileError that names every file that is missing.
 */
export async function cogVideoXFiles(folder: ModelFolder): Promise<string[]> {
  const found: string[] = [];
  const missing: string[] = [];
  const has = async (path: string) => {
    const there = await folder.exists(path);
    if (there) found.push(path);
    return there;
  };
  const need = async (path: string) => {
    if (!(await has(path))) missing.push(path);
  };
  const needWeights = async (basename: string) => {
    const weights = await checkpointFiles(folder, basename);
    found.push(...weights.found);
    missing.push(...weights.missing);
  };
  for (const path of OPTIONAL) await has(path);
  await need('scheduler/scheduler_config.json');
  for (const network of ['transformer', 'vae'] as const) {
    await need(`${network}/config.json`);
    await needWeights(WEIGHTS[network]);
  }
  if (await has('text_encoder/config.json')) {
    await needWeights(WEIGHTS.text_encoder);
    const tokenizers = await Promise.all(TOKENIZERS.map(has));
    if (!tokenizers.includes(true)) missing.push(TOKENIZERS.join(' or '));
  }
  if (missing.length === 0) return found;
  const files = missing.length === 1 ? 'a file of the model is' : `${missing.length} files of the model are`;
  throw new InvalidFileError(
    folder.name.replace(/\/$/, ''),
    `${files} missing: ${missing.join(', ')}; download the model again, or choose the folder of a whole one`,
    { missing },
  );
}
