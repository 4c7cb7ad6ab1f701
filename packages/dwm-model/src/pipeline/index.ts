export {
  type ClipAim,
  type ClipReport,
  type ClipSources,
  clipReport,
  knowsOnly,
  type VideoFacts,
} from './clip-report.ts';
export { Conditions } from './condition.ts';
export type { MemoryEstimate } from './estimate.ts';
export { UndecodedError } from './finite.ts';
export { type HandCoverage, handCoverage, handWarning } from './hand-coverage.ts';
export type { Mask } from './mask.ts';
export { modelFiles } from './model-files.ts';
export { onceEach } from './once-each.ts';
export * from './options.ts';
export { DwmPipeline, type LoadOptions } from './pipeline.ts';
export { type RunSettings, readOwnRunSettings, readRunSettings } from './run-settings.ts';
export { cacheKind, checkCache } from './step-cache.ts';
