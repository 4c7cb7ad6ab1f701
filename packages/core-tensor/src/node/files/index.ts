export * from './atomic-write.ts';
export * from './directory-folder.ts';
export { openPath } from './path-source.ts';
export * from './safetensors-file.ts';
