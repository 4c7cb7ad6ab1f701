export { armMatrices, forearmScene } from './forearm.ts';
export { handScene, restJoints } from './hand-scene.ts';
