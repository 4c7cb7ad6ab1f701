/** The families that are trained. */
import { InvalidFileError } from '@dwm/core-tensor';
import { COGVIDEOX_TRAINING } from '../../cogvideox/training.ts';
import type { ModelFamily } from '../../families/index.ts';
import { WAN_TRAINING } from '../../wan/training/family.ts';
import type { FamilyTraining } from './family-training.ts';

const TRAININGS: FamilyTraining[] = [WAN_TRAINING, COGVIDEOX_TRAINING];

/** Adds the training of another package's family. */
export const addTraining = (training: FamilyTraining): void => void TRAININGS.unshift(training);

/**
 * @param model where it lies, for the message.
 * @throws InvalidFileError where the family of a model is not trained.
 */
export function trainingOf(family: ModelFamily, model: string): FamilyTraining {
  const found = TRAININGS.find((one) => one.family === family);
  if (found) return found;
  throw new InvalidFileError(model, `${family.name} cannot be trained here; choose another base model`);
}
