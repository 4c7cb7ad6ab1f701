export { type ByteSource, blobSource, bytesSource } from './byte-source.ts';
export * from './checkpoint.ts';
export { halfValues, toBfloat16, toFloat16, toFloat32, toNumbers } from './convert.ts';
export type { SafetensorsDtype, SafetensorsTensor, TypedArray } from './dtypes.ts';
export { MAX_HEADER_BYTES, type SafetensorsHeader, type TensorEntry } from './header.ts';
export { isObject } from './json.ts';
export * from './model-folder.ts';
export { openUrl } from './url-source.ts';
export { layoutSafetensors, type SafetensorsLayout, writeSafetensors } from './writer.ts';
