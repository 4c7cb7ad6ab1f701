export { readT5Config, type T5Config, umt5ConfigOf } from './config.ts';
export { t5Encoder } from './network.ts';
export { relativePositionBucket } from './relative-position.ts';
export { type T5EncodeOptions, T5Encoder } from './t5-encoder.ts';
