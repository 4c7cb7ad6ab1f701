/** Modules without types of their own, and files that Vite gives addresses of. */
/// <reference types="vite/client" />

declare module 'gifenc' {
  type Palette = number[][];
  interface Encoder {
    writeFrame(
      index: Uint8Array,
      width: number,
      height: number,
      options: { palette?: Palette; delay?: number },
    ): void;
    finish(): void;
    bytes(): Uint8Array;
  }
  export function GIFEncoder(): Encoder;
  export function quantize(rgba: Uint8Array, colors: number): Palette;
  export function applyPalette(rgba: Uint8Array, palette: Palette): Uint8Array;
}

declare module 'three/examples/jsm/libs/basis/basis_transcoder.js' {
  import type { BasisModule } from '@dwm/renderer';
  export default function create(options: { wasmBinary: ArrayBuffer }): Promise<BasisModule>;
}

declare module 'draco3dgltf/draco_decoder_gltf_nodejs.js' {
  export default function createDecoder(options: { wasmBinary: ArrayBuffer }): Promise<unknown>;
}
