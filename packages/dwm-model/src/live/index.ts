/** A model that answers while the hands move. */
export type { BlockCost } from './engine.ts';
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
