/** A model that answers while the hands move. */
export type { BlockCost } from './engine.ts';
export { LiveBusyError, LiveStoppedError, NotCausalError } from './errors.ts';
export { type LiveSource, type PlayOptions, playVideos } from './play.ts';
export { DwmStream, type LiveChunk, type LiveOptions, type LiveStart } from './stream.ts';
