export { readTorchFile } from './read.ts';
