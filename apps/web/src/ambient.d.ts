/** Modules without types of their own, and files that Vite gives addresses of. */
/// <reference types="vite/client" />

/** Of the models that are built in, by `vite.config.ts`; a live one may be missing. */
declare const BUILT_IN_BYTES: { readonly default: number; readonly live?: number };

declare module 'three/examples/jsm/libs/basis/basis_transcoder.js' {
  import type { BasisModule } from '@dwm/renderer/scene';
  export default function create(options: { wasmBinary: ArrayBuffer }): Promise<BasisModule>;
}

declare module 'draco3dgltf/draco_decoder_gltf_nodejs.js' {
  export default function createDecoder(options: { wasmBinary: ArrayBuffer }): Promise<unknown>;
}
