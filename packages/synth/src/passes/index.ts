export { measurePasses, passesProblem } from './check-passes.ts';
export { type ClipPasses, PassRenderer } from './render-passes.ts';
