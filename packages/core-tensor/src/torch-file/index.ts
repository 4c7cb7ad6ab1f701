export { openTensorFile, openTorchFile, readTorchFile } from './read.ts';
export { writeTorchFile } from './write.ts';
