/** Pictures of a scene in Node. */
import { decodeRgba } from '@dwm/media/node';
import type { DecodeImage } from '../gpu/texture-cache.ts';
import { decodeKtx2 } from '../mesh/ktx2.ts';
import { openBasis } from './basis.ts';

/** Decodes pictures of scenes in Node: PNG, JPEG, WebP and KTX2. */
export const decodeImage: DecodeImage = ({ name, bytes, mimeType }) =>
  mimeType === 'image/ktx2' ? decodeKtx2(bytes, openBasis) : decodeRgba(name, bytes);
