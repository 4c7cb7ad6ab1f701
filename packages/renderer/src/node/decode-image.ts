/** Pictures of a scene in Node. */
import { decodeRgba } from '@dwm/media/node';
import type { DecodeImage } from '../gpu/texture-cache.ts';
import { decodeKtx2 } from '../mesh/ktx2.ts';
import { openBasis } from './basis.ts';

export const decodeImage: DecodeImage = ({ name, bytes, mimeType }) =>
  mimeType === 'image/ktx2' ? decodeKtx2(bytes, openBasis) : decodeRgba(name, bytes);
