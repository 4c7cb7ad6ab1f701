export { type ExperimentConfig, parseExperiment } from '../../training/config.ts';
export { listCheckpoints, readState, type SavedCheckpoint, type TrainingState } from './checkpoint.ts';
export { readDataset, type Sample } from './dataset.ts';
export { type EncodeOptions, encodeDataset } from './encode.ts';
export { type PartSize, writeHalfModel } from './half-model.ts';
export { promptOf } from './prompt.ts';
export { trainingSize } from './size.ts';
export type { Reconstruction } from './task.ts';
export { type TrainEvent, type TrainOptions, type TrainResult, train } from './trainer.ts';
