/** Where a Wan model's parts lie: in Wan's own layout, in diffusers', or in DWM's mixture of them. */
import {
  type Checkpoint,
  checkpointFiles,
  InvalidFileError,
  type ModelFolder,
  openCheckpoint,
} from '@dwm/core-tensor';
import { readJson } from '../weights/config.ts';
import { isWanConfig, readWanConfig, type WanConfig } from './transformer/config.ts';
import { withWeights } from './transformer/load.ts';
import { WAN_VAE_FILES } from './vae/vae.ts';

const WEIGHTS = 'diffusion_pytorch_model';
const OPTIONAL = [
  'model_index.json',
  'generation.json',
  'prompt_embeds.safetensors',
  'scheduler/scheduler_config.json',
];

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

export async function firstThere(folder: ModelFolder, paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await folder.exists(path)) return path;
  return undefined;
}

/** Folder of the transformer: its own, or the model's. */
export const transformerPath = async (folder: ModelFolder): Promise<'transformer/' | ''> =>
  (await folder.exists('transformer/config.json')) ? 'transformer/' : '';

export async function isWan(folder: ModelFolder): Promise<boolean> {
  const path = `${await transformerPath(folder)}config.json`;
  return (await folder.exists(path)) && isWanConfig((await readJson(folder, path)).json);
}

/** @throws InvalidFileError naming the key of the configuration, or the weights that are missing. */
export async function openWanTransformer(
  folder: ModelFolder,
): Promise<{ config: WanConfig; file: string; checkpoint: Checkpoint }> {
  const path = await transformerPath(folder);
  const { json, file } = await readJson(folder, `${path}config.json`);
  const config = readWanConfig(json, file);
  const checkpoint = await openCheckpoint(folder, `${path}${WEIGHTS}`);
  return { config: withWeights(config, checkpoint), file, checkpoint };
}

/** @throws InvalidFileError that names every file that is missing. */
export async function wanFiles(folder: ModelFolder): Promise<string[]> {
  const found: string[] = [];
  const missing: string[] = [];
  const add = async (path: string) => {
    const there = await folder.exists(path);
    if (there) found.push(path);
    return there;
  };
  const needWeights = async (base: string) => {
    const weights = await checkpointFiles(folder, base);
    found.push(...weights.found);
    missing.push(...weights.missing);
  };
  for (const path of OPTIONAL) await add(path);
  const own = await transformerPath(folder);
  if (!(await add(`${own}config.json`))) missing.push(`${own}config.json`);
  await needWeights(`${own}${WEIGHTS}`);
  const vae = await firstThere(folder, WAN_VAE_FILES);
  if (vae) found.push(vae);
  else if (await add('vae/config.json')) await needWeights(`vae/${WEIGHTS}`);
  else missing.push(`${WAN_VAE_FILES[0]} or vae/config.json`);
  const text = await firstThere(folder, UMT5_FILES);
  if (text) found.push(text);
  else if (await add('text_encoder/config.json')) await needWeights('text_encoder/model');
  if (text || found.includes('text_encoder/config.json')) {
    const tokenizer = await firstThere(folder, UMT5_TOKENIZERS);
    if (tokenizer) found.push(tokenizer);
    else missing.push(UMT5_TOKENIZERS[0]);
  }
  if (missing.length === 0) return found;
  const files = missing.length === 1 ? 'a file of the model is' : `${missing.length} files of the model are`;
  throw new InvalidFileError(
    folder.name.replace(/\/$/, ''),
    `${files} missing: ${missing.join(', ')}; download the model again, or choose the folder of a whole one`,
    { missing },
  );
}
