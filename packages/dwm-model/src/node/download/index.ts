export { type DownloadedModel, type DownloadOptions, downloadModel } from './download-model.ts';
export { DownloadError } from './errors.ts';
export type { DownloadProgress } from './progress.ts';
