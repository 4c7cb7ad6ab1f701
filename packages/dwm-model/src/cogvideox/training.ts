/** How CogVideoX is trained, and what is encoded ahead for that. */
import { decoderTask, planDecoderTask } from '../node/training/decoder-task.ts';
import { dwmTask, planDwmTask } from '../node/training/dwm-task.ts';
import type { FamilyTraining } from '../node/training/family-training.ts';
import { planVaeTask, vaeTask } from '../node/training/vae-task.ts';
import { COGVIDEOX } from './family.ts';

export const COGVIDEOX_TRAINING: FamilyTraining = {
  family: COGVIDEOX,
  openTask(context) {
    const { mode } = context.config.training;
    if (mode === 'vae') return vaeTask(context);
    return mode === 'decoder' ? decoderTask(context) : dwmTask(context);
  },
  planTask(context) {
    const { mode } = context.config.training;
    if (mode === 'vae') return planVaeTask(context);
    return mode === 'decoder' ? planDecoderTask(context) : planDwmTask(context);
  },
  encodes: { kind: 'moments' },
  encodedSuffix: '',
};
