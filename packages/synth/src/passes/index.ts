export { measurePasses, type PassMeasures, passesProblem } from './check-passes.ts';
export { type ClipScene, clipScene } from './clip-scene.ts';
export { type ClipPasses, PassRenderer } from './render-passes.ts';
