/** Actions ranked, and searched for, by the clips that a model makes of them; goals in pictures or in words. */
export { CLIPModel } from '../text-image/clip-model.ts';
export type { CLIPConfig, CLIPTower } from '../text-image/config.ts';
export { type CemOptions, type CemState, refine, startSearch } from './cross-entropy.ts';
export { type Distance, goalRegion, latentDistance, lpipsDistance, wantedChange } from './distance.ts';
export type { TextGoal, TextImageModel } from './goal.ts';
export {
  type Candidate,
  type Ranked,
  type RankOptions,
  type RankScene,
  rankActions,
  rankedBy,
  type WorldModel,
} from './rank-actions.ts';
