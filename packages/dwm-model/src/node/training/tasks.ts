/** Which task trains a model: of its family, or its VAE. */
import { openDirectory } from '@dwm/core-tensor/node';
import { familyOf, type ModelFamily } from '../../families/index.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { WAN } from '../../wan/family.ts';
import { dwmTask } from './dwm-task.ts';
import type { TaskContext, TrainingTask } from './task.ts';
import { vaeTask } from './vae-task.ts';
import { wanTask } from './wan-task.ts';

type OpenTask = (context: TaskContext) => Promise<TrainingTask>;

/** Families with a training of their own; the others have CogVideoX's. */
const TASKS = new Map<ModelFamily, OpenTask>([[WAN, wanTask]]);

export async function taskOf(model: string, mode: ExperimentConfig['training']['mode']): Promise<OpenTask> {
  const own = TASKS.get(await familyOf(await openDirectory(model)));
  return own ?? (mode === 'vae' ? vaeTask : dwmTask);
}
