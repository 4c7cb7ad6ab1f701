export type { BlockCost } from './engine.ts';
export { isLivePlan, planClips } from './plan-clips.ts';
export { type LiveNeeds, type LivePlan, planLive } from './plan-live.ts';
export { type LiveSource, type PlayOptions, playVideos } from './play.ts';
export {
  DwmStream,
  LiveBusyError,
  type LiveChunk,
  type LiveOptions,
  type LiveStart,
  LiveStoppedError,
  NotCausalError,
} from './stream.ts';
