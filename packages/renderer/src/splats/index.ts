/** Gaussian splats, read from the formats they come in and drawn. */
export type { ShDegree, SplatCloud } from './cloud.ts';
export { readSplats } from './read.ts';
export { readSplatImage, type SplatPixels } from './read-image.ts';
export type { DecodeExactly, ReadSplatOptions } from './read-options.ts';
export { type SplatImage, type SplatOptions, SplatRenderer } from './renderer.ts';
export { SplatScene } from './scene.ts';
