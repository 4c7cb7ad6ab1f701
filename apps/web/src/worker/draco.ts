/** Draco's decoder for pages: its WebAssembly is a file of the build. Loaded when a scene needs it. */
import wasm from 'draco3dgltf/draco_decoder_gltf.wasm?url';
import createDecoder from 'draco3dgltf/draco_decoder_gltf_nodejs.js';

export const loadDraco = async (): Promise<unknown> =>
  createDecoder({ wasmBinary: await (await fetch(wasm)).arrayBuffer() });
