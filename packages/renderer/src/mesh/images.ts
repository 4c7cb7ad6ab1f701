/** The pictures that materials use, their headers read so that a bomb is refused before it is decoded. */
import { InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import { checkImageSize } from '@dwm/media';
import type { Texture } from '@gltf-transform/core';
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
    throw new InvalidFileError(this.#nameOf(texture), problem);
  }

  #nameOf(texture: Texture): string {
    const uri = texture.getURI();
    const name = texture.getName() || (uri.startsWith('data:') ? '' : uri) || `image ${this.list.length}`;
    return `${this.#file}: picture ${quote(name)}`;
  }

  #read(texture: Texture): EncodedImage {
    const name = this.#nameOf(texture);
    const bytes = texture.getImage();
    if (!bytes) return this.fail(texture, 'has no bytes; keep the picture beside the .gltf');
    const { format, width, height } = isKtx2(bytes) ? ktx2Size(name, bytes) : checkImageSize(name, bytes);
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
    return { name, bytes, mimeType: `image/${format}`, width, height };
  }
}

const isKtx2 = (bytes: Uint8Array) => String.fromCharCode(...bytes.subarray(1, 7)) === 'KTX 20';

function ktx2Size(name: string, bytes: Uint8Array) {
  try {
    return { format: 'ktx2', ...readKtx2Header(bytes) };
  } catch (error) {
    throw new InvalidFileError(name, (error as Error).message);
  }
}
