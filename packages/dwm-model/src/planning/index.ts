export { type CemOptions, type CemState, refine, startSearch } from './cross-entropy.ts';
export { type Distance, goalRegion, latentDistance, lpipsDistance, wantedChange } from './distance.ts';
export type { TextGoal, TextImageModel } from './goal.ts';
export {
  type Candidate,
  probabilitiesOfBest,
  type Ranked,
  type RankOptions,
  type RankScene,
  rankActions,
  rankedBy,
  type WorldModel,
} from './rank-actions.ts';
