/** The pictures that materials use, their headers read so that a bomb is refused before it is decoded. */
import { InvalidFileError, quote } from '@dwm/core-tensor';
import { ImageUtils, type Texture } from '@gltf-transform/core';
import type { EncodedImage } from '../scene/scene.ts';
import { readKtx2Header } from './ktx2.ts';
import { LIMITS } from './validate.ts';

export class ImageList {
  readonly list: EncodedImage[] = [];
  readonly #file: string;
  readonly #indices = new Map<Texture, number>();
  #pixels = 0;

  constructor(file: string) {
    this.#file = file;
  }

  indexOf(texture: Texture): number {
    let index = this.#indices.get(texture);
    if (index === undefined) {
      index = this.list.push(this.#read(texture)) - 1;
      this.#indices.set(texture, index);
    }
    return index;
  }

  fail(texture: Texture, problem: string): never {
    throw new InvalidFileError(this.#file, `picture ${quote(this.#nameOf(texture))}: ${problem}`);
  }

  #nameOf(texture: Texture): string {
    const uri = texture.getURI();
    return texture.getName() || (uri.startsWith('data:') ? '' : uri) || `image ${this.list.length}`;
  }

  #read(texture: Texture): EncodedImage {
    const bytes = texture.getImage();
    const mimeType = bytes && sniff(bytes);
    if (!mimeType) return this.fail(texture, 'is neither PNG, JPEG, WebP nor KTX2; save it as one of them');
    const { width, height } = this.#size(texture, bytes, mimeType);
    this.#pixels += width * height;
    if (width > LIMITS.imageSide || height > LIMITS.imageSide) {
      this.fail(texture, `${width}x${height}, expected at most ${LIMITS.imageSide} a side; scale it down`);
    }
    if (this.#pixels > LIMITS.imagePixels) {
      this.fail(
        texture,
        `all pictures together have more than ${LIMITS.imagePixels} pixels; scale them down`,
      );
    }
    return { name: `${this.#file}: ${this.#nameOf(texture)}`, bytes, mimeType, width, height };
  }

  #size(texture: Texture, bytes: Uint8Array, mimeType: string): { width: number; height: number } {
    if (mimeType === 'image/ktx2') {
      try {
        return readKtx2Header(bytes);
      } catch (error) {
        return this.fail(texture, (error as Error).message);
      }
    }
    try {
      const [width, height] = ImageUtils.getSize(bytes, mimeType) ?? [0, 0];
      if (width > 0 && height > 0) return { width, height };
    } catch {
      // A header that ends early.
    }
    return this.fail(texture, 'has no readable size; the file is damaged');
  }
}

function sniff(bytes: Uint8Array): string | undefined {
  const ascii = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  if (ascii(1, 4) === 'PNG') return 'image/png';
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return 'image/jpeg';
  if (ascii(1, 7) === 'KTX 20') return 'image/ktx2';
  return ascii(0, 4) === 'RIFF' && ascii(8, 12) === 'WEBP' ? 'image/webp' : undefined;
}
