export { hasHandWeights, readHandWeights } from './hand-weights.ts';
