/**
 * The frames of a clip read back at once: every frame is copied into its place of one buffer as it is drawn, and the
 * buffer is mapped when all are there. Waiting for the device once a clip instead of once a frame is what counts
 * for small pictures.
 */
import { type Device, type DeviceBuffer, InvalidArgumentError } from '@dwm/core-tensor';

/** Reads frames back while later ones are drawn. */
export class ClipReadback {
  readonly frames: number;
  readonly width: number;
  readonly height: number;
  readonly #device: Device;
  readonly #bytesPerRow: number;
  readonly #staging: DeviceBuffer;

  /** @throws OutOfMemoryError. */
  constructor(device: Device, frames: number, width: number, height: number) {
    this.#device = device;
    this.frames = frames;
    this.width = width;
    this.height = height;
    this.#bytesPerRow = Math.ceil((width * 4) / 256) * 256;
    this.#staging = device.createBuffer(
      this.#bytesPerRow * height * frames,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      'read clip',
    );
  }

  /**
   * Submits the copy of `RenderTarget.color` as it is at this point of the queue.
   * @throws InvalidArgumentError for a picture of another size or a frame that the clip does not have.
   */
  copy(texture: GPUTexture, frame: number): void {
    const { width, height, frames } = this;
    if (texture.width !== width || texture.height !== height || !(frame >= 0 && frame < frames)) {
      throw new InvalidArgumentError(
        'frame',
        `expected a ${width}x${height} picture for one of ${frames} frames, got ${texture.width}x${texture.height} for frame ${frame}`,
      );
    }
    const encoder = this.#device.gpu.createCommandEncoder();
    encoder.copyTextureToBuffer(
      { texture },
      {
        buffer: this.#staging.gpu,
        bytesPerRow: this.#bytesPerRow,
        offset: frame * this.#bytesPerRow * height,
      },
      [width, height],
    );
    this.#device.gpu.queue.submit([encoder.finish()]);
  }

  /** Waits for the copies: the bytes [frames, height, width, 3]. */
  async read(): Promise<Uint8Array> {
    const { gpu } = this.#staging;
    await this.#device.wait(gpu.mapAsync(GPUMapMode.READ));
    const rows = new Uint8Array(gpu.getMappedRange());
    const rgb = new Uint8Array(this.frames * this.height * this.width * 3);
    for (let y = 0, out = 0; y < this.frames * this.height; y++) {
      for (let x = 0, at = y * this.#bytesPerRow; x < this.width; x++, at += 4) {
        rgb[out++] = rows[at];
        rgb[out++] = rows[at + 1];
        rgb[out++] = rows[at + 2];
      }
    }
    gpu.unmap();
    return rgb;
  }

  destroy(): void {
    this.#staging.destroy();
  }
}
