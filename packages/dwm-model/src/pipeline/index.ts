export {
  type ClipAim,
  type ClipReport,
  type ClipSources,
  clipReport,
  knowsOnly,
  type VideoFacts,
} from './clip-report.ts';
export { Conditions } from './condition.ts';
export { Denoiser, type DenoiserShape } from './denoiser.ts';
export type { MemoryEstimate } from './estimate.ts';
export { UndecodedError } from './finite.ts';
export { dynamicGuidanceScale } from './guidance.ts';
export { type HandCoverage, handCoverage, handWarning } from './hand-coverage.ts';
export type { Mask } from './mask.ts';
export { modelFiles } from './model-files.ts';
export { onceEach } from './once-each.ts';
export * from './options.ts';
export { DwmPipeline, type LoadOptions } from './pipeline.ts';
export * from './plan-model.ts';
export { type RunSettings, readOwnRunSettings, readRunSettings } from './run-settings.ts';
export { type CacheKind, cacheKind, checkCache } from './step-cache.ts';
