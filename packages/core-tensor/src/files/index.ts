/**
 * Files of tensors: safetensors, GGUF and PyTorch's, single or sharded, out of paths, URLs or `File` objects; the zip
 * archives and the JSON in them; and the text of others made safe to show.
 */
export { oneLine, printable, printableJson, quote } from '../text.ts';
export { type ByteSource, blobSource, bytesSource } from './byte-source.ts';
export * from './checkpoint.ts';
export { isObject } from './json.ts';
export * from './model-folder.ts';
export { halfValues, toBfloat16, toFloat16, toFloat32, toNumbers } from './safetensors/convert.ts';
export type { SafetensorsDtype, SafetensorsTensor, TypedArray } from './safetensors/dtypes.ts';
export type { TensorEntry } from './safetensors/header.ts';
export { layoutSafetensors, type SafetensorsLayout, writeSafetensors } from './safetensors/writer.ts';
export { openTensorFile, openTorchFile, readTorchFile } from './torch-file/read.ts';
export { writeTorchFile } from './torch-file/write.ts';
export { openUrl } from './url-source.ts';
export {
  type BinaryFile,
  crc32,
  inflateExactly,
  readZipDirectory,
  readZipEntry,
} from './zip.ts';
