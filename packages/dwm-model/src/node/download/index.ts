export { type DownloadedModel, type DownloadOptions, downloadModel } from './download-model.ts';
export { DownloadError, StalledError } from './errors.ts';
export type { DownloadProgress } from './progress.ts';
export { type Answer, request as requestUrl } from './request.ts';
