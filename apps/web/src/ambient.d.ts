/** Modules without types of their own, and files that Vite gives addresses of. */
/// <reference types="vite/client" />

/** Whether a live model is built in: `vite.config.ts`. */
declare const HAS_LIVE_MODEL: boolean;

declare module 'three/examples/jsm/libs/basis/basis_transcoder.js' {
  import type { BasisModule } from '@dwm/renderer/scene';
  export default function create(options: { wasmBinary: ArrayBuffer }): Promise<BasisModule>;
}

declare module 'draco3dgltf/draco_decoder_gltf_nodejs.js' {
  export default function createDecoder(options: { wasmBinary: ArrayBuffer }): Promise<unknown>;
}
