/** What readers of splat files ask of their caller. */
import type { EncodedImage, Pixels } from '../scene/scene.ts';
import type { WarnOption } from './cloud.ts';

/** What `readSogFolder` and `readSogBundle` decode with: every pixel as it is in the file. */
export type DecodeExactly = (image: EncodedImage) => Promise<Pixels>;

/** How a file of splats is read. */
export interface ReadSplatOptions extends WarnOption {
  /** For SOG: decodes a PNG or lossless WebP to exactly its bytes; by default as browsers can. */
  readonly decodeImage?: DecodeExactly;
  /** For a SOG that is a folder: the bytes of a file beside its `meta.json`. */
  readonly readBeside?: (name: string) => Promise<Uint8Array>;
}
