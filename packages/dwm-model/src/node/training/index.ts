export { type ExperimentConfig, parseExperiment } from '../../training/config.ts';
export { listCheckpoints, readState, type SavedCheckpoint, type TrainingState } from './checkpoint.ts';
export { readDataset, type Sample } from './dataset.ts';
export { readCaption } from './encoder.ts';
export { type TrainEvent, type TrainOptions, type TrainResult, train } from './trainer.ts';
