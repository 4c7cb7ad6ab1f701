export * from './atomic-write.ts';
export * from './directory-folder.ts';
export { checkOutput, isAddress, isDiskFull, WriteError, writeProblem } from './disk.ts';
export { readJsonFile } from './json-file.ts';
export { InUseError, type Lock, lockFile, tryLock } from './lock.ts';
export { type OutputOptions, whileLocked, withOutput, withSharedOutput } from './output.ts';
export { fileProblem, openPath, readRegularFile, readRegularText } from './path-source.ts';
export { type ReachOptions, reach } from './reach.ts';
export * from './safetensors-file.ts';
