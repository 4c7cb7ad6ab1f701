export * from './networks/weights.ts';
export * from './tracker/hand-tracker.ts';
export { type Region, regionOfLandmarks, regionOfPalm } from './tracker/region.ts';
export type { Picture, Point2, SeenHand } from './tracker/types.ts';
