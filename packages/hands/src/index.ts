export { Articulation, type Posture } from './fit/articulation.ts';
export { type FittedHand, fitHand } from './fit/fit-hand.ts';
export { fitVideo, type HandRecord, type VideoHands } from './fit/fit-video.ts';
export * from './networks/weights.ts';
export type { HandWeights } from './tracker/eyes.ts';
export { HandTracker } from './tracker/hand-tracker.ts';
export type { Picture, Point2, SeenHand } from './tracker/types.ts';
export { VideoTracker } from './tracker/video-tracker.ts';
