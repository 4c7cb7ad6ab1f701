/** How Wan is trained, and what is encoded ahead for that. */
import { checkpointFiles, type ModelFolder } from '@dwm/core-tensor/files';
import type { EncodingPart, FamilyTraining } from '../../node/training/family-training.ts';
import { firstThere } from '../../weights/model-files.ts';
import { WAN } from '../family.ts';
import { UMT5_FILES, WAN_VAE_FILES } from '../files.ts';
import { planWanTask, wanTask } from './task.ts';

/** Wan's own file, or those of diffusers' folder. */
async function partFiles(folder: ModelFolder, part: EncodingPart): Promise<readonly string[]> {
  const own = await firstThere(folder, part === 'vae' ? WAN_VAE_FILES : UMT5_FILES);
  if (own !== undefined) return [own];
  const [path, base] = part === 'vae' ? ['vae', 'diffusion_pytorch_model'] : ['text_encoder', 'model'];
  return [`${path}/config.json`, ...(await checkpointFiles(folder, `${path}/${base}`)).found];
}

export const WAN_TRAINING: FamilyTraining = {
  family: WAN,
  openTask: wanTask,
  planTask: planWanTask,
  encodes: { kind: 'samples', files: partFiles },
  encodedSuffix: '_wan',
  firstFrameFolder: 'fun_inp_i2v_latents_wan',
};
