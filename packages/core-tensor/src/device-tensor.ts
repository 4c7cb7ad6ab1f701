/** A dense row-major tensor in a GPU buffer of its own, padded to 16 bytes. */
import { byteLength, bytesOf, type DType, elementCount } from '@dwm/kernels-wgsl';
import type { Device, DeviceBuffer } from './device/device.ts';
import { InvalidArgumentError } from './errors.ts';
import { type HostData, requireShape, type TensorSpec } from './spec.ts';

/** `writeBuffer` stages a copy of its argument, so large data goes in chunks; its size must be whole words. */
const CHUNK = 4 << 20;

const arrays = {
  ...{ f32: Float32Array, f16: Uint16Array, bf16: Uint16Array },
  ...{ u8: Uint8Array, i32: Int32Array, u32: Uint32Array },
  ...{ i8: Int8Array, i4: Uint8Array, e4m3: Uint8Array, e5m2: Uint8Array },
};

/** Part of a tensor's elements, in row-major order. */
export interface CopyRange {
  /** First element of the source, and of the target. */
  readonly from?: number;
  readonly to?: number;
  readonly count: number;
}

let created = 0;

/** A tensor in device memory. */
export class DeviceTensor implements TensorSpec {
  readonly device: Device;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly buffer: DeviceBuffer;
  /** Names this tensor's buffer in caches of bind groups. */
  readonly id = created++;

  constructor(device: Device, { shape, dtype }: TensorSpec, label = 'tensor') {
    requireShape(shape, label);
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

  /**
   * Writes host values of this dtype from element `offset` on.
   * @throws InvalidArgumentError where they do not fit.
   */
  write(data: HostData, offset = 0): void {
    const { elementCount: count, dtype } = this;
    const size = bytesOf(dtype);
    if (data.BYTES_PER_ELEMENT !== Math.max(1, size)) {
      throw this.#refusal(
        `is ${dtype}, of ${size} bytes a value, but the values have ${data.BYTES_PER_ELEMENT}`,
      );
    }
    const values = data.byteLength / size;
    if (!(Number.isInteger(offset) && offset >= 0 && offset + values <= count)) {
      throw this.#refusal(`cannot write ${values} values at ${offset} into a tensor of ${count}`);
    }
    const { traffic } = this.device;
    traffic.uploads += 1;
    traffic.uploadedBytes += data.byteLength;
    this.writeBytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset * size);
  }

  /** Writes little-endian bytes from byte `offset`, a multiple of 4, on. */
  writeBytes(bytes: Uint8Array, offset = 0): void {
    const { buffer, device } = this;
    if (buffer.destroyed) throw this.#refusal('was destroyed and cannot be written');
    if (!(offset >= 0 && offset % 4 === 0 && offset + bytes.length <= buffer.bytes)) {
      throw this.#refusal(`cannot write ${bytes.length} bytes at ${offset} into a buffer of ${buffer.bytes}`);
    }
    const whole = offset === 0 && bytes.length >= this.elementCount * bytesOf(this.dtype);
    device.note({ reads: [], fills: [buffer], whole });
    for (let at = 0; at < bytes.length; at += CHUNK) {
      let chunk = bytes.subarray(at, Math.min(bytes.length, at + CHUNK));
      if (chunk.length % 4 !== 0) {
        const padded = new Uint8Array(Math.ceil(chunk.length / 4) * 4);
        padded.set(chunk);
        chunk = padded;
      }
      device.gpu.queue.writeBuffer(buffer.gpu, offset + at, chunk as Uint8Array<ArrayBuffer>);
    }
  }

  /** The values, as bits for f16, bf16 and floats of a byte, two to a byte for i4. Waits for all work before. */
  async read(): Promise<HostData> {
    const bytes = this.elementCount * bytesOf(this.dtype);
    const copied = await this.device.read(this.buffer, 0, Math.ceil(bytes / 4) * 4);
    const array = arrays[this.dtype];
    return new array(copied, 0, bytes / array.BYTES_PER_ELEMENT);
  }

  /** A copy in a buffer of its own. */
  clone(label = this.buffer.label): DeviceTensor {
    const copy = new DeviceTensor(this.device, this, label);
    copy.copyFrom(this);
    return copy;
  }

  /**
   * Takes over the values of a tensor of the same dtype: all of one of the same size, or a range, in whole words.
   * @throws InvalidArgumentError where they do not fit.
   */
  copyFrom(source: DeviceTensor, range?: CopyRange): void {
    const size = bytesOf(this.dtype);
    const { from = 0, to = 0, count } = range ?? { count: this.elementCount };
    const [start, target, bytes] = [from * size, to * size, range ? count * size : this.buffer.bytes];
    const fits = start + bytes <= source.buffer.bytes && target + bytes <= this.buffer.bytes;
    if (
      source.dtype !== this.dtype ||
      !fits ||
      [start, target, bytes].some((at) => !(at >= 0 && at % 4 === 0))
    ) {
      throw this.#refusal(
        `cannot take ${count} values at ${from} of ${source.dtype} [${source.shape}] to place ${to} of ${this.dtype} [${this.shape}]`,
      );
    }
    this.device.note({ reads: [source.buffer], fills: [this.buffer], whole: bytes === this.buffer.bytes });
    const encoder = this.device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(source.buffer.gpu, start, this.buffer.gpu, target, bytes);
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  destroy(): void {
    this.buffer.destroy();
  }

  #refusal(problem: string): InvalidArgumentError {
    return new InvalidArgumentError(this.buffer.label, problem);
  }
}
