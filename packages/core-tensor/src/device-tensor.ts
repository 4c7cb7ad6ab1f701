/** A dense row-major tensor in a GPU buffer of its own, padded to 16 bytes. */
import { byteLength, bytesOf, type DType, elementCount } from '@dwm/kernels-wgsl';
import type { Device, DeviceBuffer } from './device/device.ts';
import type { HostData, TensorSpec } from './tensor.ts';

/** `writeBuffer` stages a copy of its argument, so large data goes in pieces; its size must be whole words. */
const PIECE = 4 << 20;

const arrays = { f32: Float32Array, f16: Uint16Array, bf16: Uint16Array, i32: Int32Array, u32: Uint32Array };

let created = 0;

export class DeviceTensor implements TensorSpec {
  readonly device: Device;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly buffer: DeviceBuffer;
  /** Names this tensor's buffer in caches of bind groups. */
  readonly id = created++;

  constructor(device: Device, { shape, dtype }: TensorSpec, label = 'tensor') {
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    this.buffer = device.createBuffer(
      byteLength(elementCount(shape), dtype),
      GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      label,
    );
  }

  static from(
    device: Device,
    data: HostData,
    shape: readonly number[],
    dtype: DType,
    label?: string,
  ): DeviceTensor {
    const tensor = new DeviceTensor(device, { shape, dtype }, label);
    tensor.write(data);
    return tensor;
  }

  get elementCount(): number {
    return elementCount(this.shape);
  }

  /** Writes host values from element `offset` on. */
  write(data: HostData, offset = 0): void {
    if (offset + data.length > this.elementCount) {
      throw new Error(`writing ${data.length} values at ${offset} into a tensor of ${this.elementCount}`);
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.writeBytes(bytes, offset * bytesOf(this.dtype));
  }

  /** Writes little-endian bytes from byte `offset`, a multiple of 4, on. */
  writeBytes(bytes: Uint8Array, offset = 0): void {
    for (let at = 0; at < bytes.length; at += PIECE) {
      let piece = bytes.subarray(at, Math.min(bytes.length, at + PIECE));
      if (piece.length % 4 !== 0) {
        const padded = new Uint8Array(Math.ceil(piece.length / 4) * 4);
        padded.set(piece);
        piece = padded;
      }
      this.device.gpu.queue.writeBuffer(this.buffer.gpu, offset + at, piece as Uint8Array<ArrayBuffer>);
    }
  }

  /** The values, as bits for f16 and bf16. Waits for all work submitted before. */
  async read(): Promise<HostData> {
    const bytes = this.elementCount * bytesOf(this.dtype);
    const copied = await this.device.read(this.buffer, 0, Math.ceil(bytes / 4) * 4);
    return new arrays[this.dtype](copied, 0, this.elementCount);
  }

  /** A copy in a buffer of its own. */
  clone(label = this.buffer.label): DeviceTensor {
    const copy = new DeviceTensor(this.device, this, label);
    copy.copyFrom(this);
    return copy;
  }

  /** Takes over the values of a tensor of the same size. */
  copyFrom(source: DeviceTensor): void {
    const encoder = this.device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(source.buffer.gpu, 0, this.buffer.gpu, 0, this.buffer.bytes);
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  destroy(): void {
    this.buffer.destroy();
  }
}
