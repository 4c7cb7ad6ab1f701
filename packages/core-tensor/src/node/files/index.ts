export * from './atomic-write.ts';
export * from './directory-folder.ts';
export { checkOutput, isDiskFull, WriteError, writeProblem } from './disk.ts';
export { InUseError } from './lock.ts';
export { type OutputOptions, whileLocked, withOutput } from './output.ts';
export { fileProblem, openPath } from './path-source.ts';
export { type ReachOptions, reach } from './reach.ts';
export * from './safetensors-file.ts';
export { sweepTemporary } from './temporary.ts';
