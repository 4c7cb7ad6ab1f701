export { decodeImage } from './decode-image.ts';
export { defaultHandPath, readDefaultHand } from './default-hands.ts';
export { readEgodexFile } from './egodex-file.ts';
export { readGltfFile } from './gltf-file.ts';
export { readSplatFile } from './splat-file.ts';
