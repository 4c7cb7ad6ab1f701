export * from './byte-source.ts';
export * from './checkpoint.ts';
export * from './convert.ts';
export * from './dtypes.ts';
export { MAX_HEADER_BYTES, type SafetensorsHeader, type TensorEntry } from './header.ts';
export { isObject, parseJsonObject } from './json.ts';
export * from './model-folder.ts';
export { openUrl } from './url-source.ts';
export * from './writer.ts';
