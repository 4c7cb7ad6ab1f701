export type { HandGeometry, HandPart } from './hand-geometry.ts';
export { type HandPair, HandRenderer } from './hand-renderer.ts';
export { type Finger, type HandShape, shapeJoints } from './hand-shape.ts';
export { ManoHand } from './mano-hand.ts';
export { RiggedHand } from './rigged-hand.ts';
