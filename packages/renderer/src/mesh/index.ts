export { type ReadGltfOptions, readGltf } from './read-gltf.ts';
export { LIMITS as GLTF_LIMITS } from './validate.ts';
