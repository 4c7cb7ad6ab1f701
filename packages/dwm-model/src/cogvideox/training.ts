/** How CogVideoX is trained, and what is encoded ahead for that. */
import { decoderTask } from '../node/training/decoder-task.ts';
import { dwmTask } from '../node/training/dwm-task.ts';
import type { FamilyTraining } from '../node/training/family-training.ts';
import { vaeTask } from '../node/training/vae-task.ts';
import { COGVIDEOX } from './family.ts';

export const COGVIDEOX_TRAINING: FamilyTraining = {
  family: COGVIDEOX,
  openTask(context) {
    const { mode } = context.config.training;
    if (mode === 'vae') return vaeTask(context);
    return mode === 'decoder' ? decoderTask(context) : dwmTask(context);
  },
  encodes: { kind: 'moments' },
  encodedSuffix: '',
};
