/** The files that a model in diffusers' layout consists of, found by asking for them: a server has no listing. */
import { InvalidFileError, type ModelFolder } from '@dwm/core-tensor';

const WEIGHTS = ['transformer/diffusion_pytorch_model', 'vae/diffusion_pytorch_model', 'text_encoder/model'];
const OTHERS = [
  'model_index.json',
  'generation.json',
  'prompt_embeds.safetensors',
  'scheduler/scheduler_config.json',
  'transformer/config.json',
  'vae/config.json',
  'text_encoder/config.json',
  'tokenizer/spiece.model',
  'tokenizer/tokenizer.json',
];
const NEEDED = ['scheduler/scheduler_config.json', 'transformer/config.json', 'vae/config.json'];

/** @throws InvalidFileError where it is no model, naming the first file that is missing. */
export async function modelFiles(folder: ModelFolder): Promise<string[]> {
  const found: string[] = [];
  for (const path of OTHERS) if (await folder.exists(path)) found.push(path);
  for (const path of NEEDED) {
    if (!found.includes(path)) {
      throw new InvalidFileError(
        `${folder.name.replace(/\/$/, '')}/${path}`,
        'is missing; expected a model folder with transformer, vae and scheduler',
      );
    }
  }
  for (const weights of WEIGHTS) {
    const whole = `${weights}.safetensors`;
    const index = `${weights}.safetensors.index.json`;
    if (await folder.exists(whole)) found.push(whole);
    else if (await folder.exists(index)) found.push(index, ...(await shards(folder, index)));
  }
  return found;
}

async function shards(folder: ModelFolder, index: string): Promise<string[]> {
  const source = await folder.open(index);
  const { weight_map } = JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
  const beside = index.slice(0, index.lastIndexOf('/') + 1);
  return [...new Set(Object.values(weight_map as Record<string, string>))].map((name) => beside + name);
}
