import type { Device, DeviceBuffer } from '@dwm/core-tensor';

/** A storage buffer that is made anew where what is written does not fit. */
export class GrowingBuffer {
  readonly #device: Device;
  readonly #label: string;
  #buffer: DeviceBuffer;

  constructor(device: Device, label: string) {
    this.#device = device;
    this.#label = label;
    this.#buffer = this.#create(1024);
  }

  get gpu(): GPUBuffer {
    return this.#buffer.gpu;
  }

  write(data: ArrayBuffer): void {
    if (data.byteLength > this.#buffer.bytes) {
      this.#buffer.destroy();
      this.#buffer = this.#create(data.byteLength);
    }
    this.#device.gpu.queue.writeBuffer(this.#buffer.gpu, 0, data);
  }

  destroy(): void {
    this.#buffer.destroy();
  }

  #create(bytes: number): DeviceBuffer {
    return this.#device.createBuffer(bytes, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, this.#label);
  }
}
