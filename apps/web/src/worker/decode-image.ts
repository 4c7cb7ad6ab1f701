/** Pictures of scenes on the page: the browser's decoder, and Basis Universal's, loaded when a scene needs it. */
import { type DecodeImage, decodeWithBrowser } from '@dwm/renderer';
import { type BasisModule, decodeKtx2 } from '@dwm/renderer/scene';

/** A new instance each time. `build/basis-module.ts` makes a module of the transcoder's script. */
async function openBasis(): Promise<BasisModule> {
  const { default: create } = await import('three/examples/jsm/libs/basis/basis_transcoder.js');
  const { default: wasm } = await import('three/examples/jsm/libs/basis/basis_transcoder.wasm?url');
  return create({ wasmBinary: await (await fetch(wasm)).arrayBuffer() });
}

export const decodeImage: DecodeImage = (image) =>
  image.mimeType === 'image/ktx2' ? decodeKtx2(image.bytes, openBasis) : decodeWithBrowser(image);
