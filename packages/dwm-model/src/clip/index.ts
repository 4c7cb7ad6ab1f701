export { ClipModel } from './clip-model.ts';
export type { ClipConfig, ClipTower } from './config.ts';
