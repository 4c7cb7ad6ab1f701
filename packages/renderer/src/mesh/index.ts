export { type BasisModule, decodeKtx2 } from './ktx2.ts';
export { type ReadGltfOptions, readGltf } from './read-gltf.ts';
export { LIMITS as GLTF_LIMITS } from './validate.ts';
