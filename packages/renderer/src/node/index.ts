export { decodeImage } from './decode-image.ts';
export { readGltfFile } from './gltf-file.ts';
