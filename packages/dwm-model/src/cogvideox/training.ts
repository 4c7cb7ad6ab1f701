/** How CogVideoX is trained, and what is encoded ahead for that. */
import { dwmTask } from '../node/training/dwm-task.ts';
import type { FamilyTraining } from '../node/training/family-training.ts';
import { vaeTask } from '../node/training/vae-task.ts';
import { COGVIDEOX } from './family.ts';

export const COGVIDEOX_TRAINING: FamilyTraining = {
  family: COGVIDEOX,
  openTask: (context) => (context.config.training.mode === 'vae' ? vaeTask : dwmTask)(context),
  encodes: { kind: 'moments' },
  encodedSuffix: '',
};
