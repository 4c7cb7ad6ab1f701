export {
  type ExperimentConfig,
  type ExperimentFile,
  ignoredKeys,
  parseExperiment,
  readExperimentFile,
} from '../../training/config.ts';
export type { Peers, WireOptions } from '../../training/peers.ts';
export { readTrainingClip } from './clip-store.ts';
export { clipsIn, VIDEO_ENDINGS } from './clips-in.ts';
export { readDataset, readDatasets, type Sample } from './dataset.ts';
export {
  type EncodeFailure,
  type EncodeOptions,
  type EncodeResult,
  encodeFiles,
  writeFailures,
} from './encode.ts';
export {
  checkInside,
  type EncodeJob,
  filesIn,
  jobsOfFolders,
  jobsOfSamples,
  LAYOUTS,
  type Layout,
  MODALITIES,
  type Modality,
  sampleFolders,
  shardJobs,
} from './encode-jobs.ts';
export { type ReadClip, readCaption } from './encoder.ts';
export { hashFile } from './fingerprint.ts';
export { type PartSize, writeHalfModel } from './half-model.ts';
export { type InspectedBatches, inspectBatches } from './inspect.ts';
export { mixWeights } from './mix-weights.ts';
export { initializeModel } from './model-folder.ts';
export { noiseToHands } from './one-step.ts';
export { allSamples } from './order.ts';
export { planTraining, type TrainingPlan } from './plan-training.ts';
export { promptOf } from './prompt.ts';
export { trainingSize } from './size.ts';
export {
  checkSamples,
  findVideos,
  type InvalidSample,
  REQUIRED,
  relativeTo,
  type Split,
  splitDataset,
  writeSplit,
} from './split.ts';
export type { Reconstruction } from './task.ts';
export type { TrainEvent, TrainOptions, TrainResult } from './train-options.ts';
export { train } from './trainer.ts';
export { addTraining, trainingOf } from './trainings.ts';
