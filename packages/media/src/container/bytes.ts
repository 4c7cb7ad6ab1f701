/** A file as bytes that are fetched when they are asked for. */

export interface ByteSource {
  readonly size: number;
  /** Bytes [from, to) of the file; fewer where it ends before. */
  read(from: number, to: number): Promise<Uint8Array>;
}

/** What a container does not keep to; the message is half a sentence about it. */
export class ContainerError extends Error {}

/** What a container may hold, but we do not read; the message is half a sentence about it. */
export class UnreadError extends Error {}

/** A name or words that a file holds, as they may be shown. */
export const asciiOnly = (text: string): string => text.replace(/[^ -~]/g, '?');

/** Reads short ranges in ascending order with few calls: headers lie near each other, or far apart. */
export class HeaderReader {
  readonly #source: ByteSource;
  #from = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get size(): number {
    return this.#source.size;
  }

  /** Bytes [from, from + count), as far as the file goes. */
  async at(from: number, count: number): Promise<DataView> {
    const to = Math.min(this.size, from + count);
    if (from < this.#from || to > this.#from + this.#bytes.length) {
      const ahead = from >= this.#from && from - this.#from < 65_536 ? 65_536 : 4096;
      this.#bytes = await this.#source.read(from, Math.min(this.size, Math.max(to, from + ahead)));
      this.#from = from;
    }
    const start = Math.min(this.#bytes.length, from - this.#from);
    const length = Math.max(0, Math.min(this.#bytes.length - start, to - from));
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }
}

/** Frames at most, which is nine hours at 30 a second: each is an object in memory before one is decoded. */
const MAX_FRAMES = 1_000_000;

export function checkFrameCount(frames: number): void {
  if (frames > MAX_FRAMES)
    throw new ContainerError(`it claims ${frames} frames, more than the ${MAX_FRAMES} that are read`);
}
