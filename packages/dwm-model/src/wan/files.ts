/** Where a Wan model's parts lie: in Wan's own layout, in diffusers', or in DWM's mixture of them. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { readJson } from '../weights/config.ts';
import { firstThere, ModelFileList } from '../weights/model-files.ts';
import { isWanConfig, readWanConfig, type WanConfig } from './transformer/config.ts';

const WEIGHTS = 'diffusion_pytorch_model';
/** Latent channels of Wan 2.2's 5B. */
const WAN_22_CHANNELS = 48;
const OPTIONAL = [
  'model_index.json',
  'generation.json',
  'prompt_embeds.safetensors',
  'scheduler/scheduler_config.json',
];

/** `pipeline.type` of experiments with Wan. */
export const WAN_TYPES = ['wan2.1_fun_inp_hand_concat', 'wan2.1_fun_inp'] as const;

/** Names of Wan's own file of the VAE, the first that is there. */
export const WAN_VAE_FILES = [
  'Wan2.1_VAE.pth',
  'Wan2.1_VAE.safetensors',
  'Wan2.2_VAE.pth',
  'Wan2.2_VAE.safetensors',
] as const;

/** The text encoder's own file, and its tokenizer, each the first that is there. */
export const UMT5_FILES = [
  'models_t5_umt5-xxl-enc-bf16.pth',
  'models_t5_umt5-xxl-enc-bf16.safetensors',
] as const;
export const UMT5_TOKENIZERS = [
  'google/umt5-xxl/spiece.model',
  'tokenizer/spiece.model',
  'google/umt5-xxl/tokenizer.json',
  'tokenizer/tokenizer.json',
] as const;

export const hasUmt5 = async (folder: ModelFolder): Promise<boolean> =>
  (await firstThere(folder, [...UMT5_FILES, 'text_encoder/config.json'])) !== undefined;

/** Folder of the transformer: its own, or the model's. */
const transformerPath = async (folder: ModelFolder): Promise<'transformer/' | ''> =>
  (await folder.exists('transformer/config.json')) ? 'transformer/' : '';

export async function isWan(folder: ModelFolder): Promise<boolean> {
  const path = `${await transformerPath(folder)}config.json`;
  return (await folder.exists(path)) && isWanConfig((await readJson(folder, path)).json);
}

/** @throws InvalidFileError naming the key of the configuration. */
export async function readWanTransformer(
  folder: ModelFolder,
): Promise<{ path: string; config: WanConfig; file: string }> {
  const path = await transformerPath(folder);
  const { json, file } = await readJson(folder, `${path}config.json`);
  const config = readWanConfig(json, file);
  if (config.outChannels === WAN_22_CHANNELS) {
    throw new InvalidFileError(
      file,
      `out_dim: ${WAN_22_CHANNELS} latent channels are of Wan 2.2, which only has its VAE here; take Wan 2.1 Fun InP (out_dim 16)`,
      { field: 'out_dim' },
    );
  }
  return { path, config, file };
}

/** @throws InvalidFileError that names every file that is missing. */
export async function wanFiles(folder: ModelFolder): Promise<string[]> {
  const files = new ModelFileList(folder);
  for (const path of OPTIONAL) await files.has(path);
  const own = await transformerPath(folder);
  await files.need(`${own}config.json`);
  await files.needWeights(`${own}${WEIGHTS}`);
  const vae = await firstThere(folder, WAN_VAE_FILES);
  if (vae) files.found.push(vae);
  else if (await files.has('vae/config.json')) await files.needWeights(`vae/${WEIGHTS}`);
  else files.missing.push(`${WAN_VAE_FILES[0]} or vae/config.json`);
  const text = await firstThere(folder, UMT5_FILES);
  const inDiffusers = !text && (await files.has('text_encoder/config.json'));
  if (text) files.found.push(text);
  else if (inDiffusers) await files.needWeights('text_encoder/model');
  if (text || inDiffusers) {
    const tokenizer = await firstThere(folder, UMT5_TOKENIZERS);
    if (tokenizer) files.found.push(tokenizer);
    else files.missing.push(UMT5_TOKENIZERS[0]);
  }
  return files.whole();
}
