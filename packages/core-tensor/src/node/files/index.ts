export * from './atomic-write.ts';
export * from './directory-folder.ts';
export { fileProblem, openPath } from './path-source.ts';
export { type ReachOptions, reach } from './reach.ts';
export * from './safetensors-file.ts';
