/**
 * A GPU device that counts its memory and never leaves anyone waiting. WebGPU reports errors late and out
 * of line; here they become typed errors, thrown at the next wait. Every wait goes through `wait`, which
 * also rejects when the device is lost: a lost device otherwise leaves some of its promises unsettled.
 */
import { Decisions } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { type DeviceCaps, deviceDescriptor, type LimitOverrides, readCaps } from './caps.ts';
import { DeviceLostError, GpuValidationError, OutOfMemoryError } from './errors.ts';
import { type Filled, scopedError, type Transfer, Verdicts } from './verdicts.ts';

/** Bytes and buffers alive now, and the most that ever were. `limit` is Infinity where it is unknown. */
export interface DeviceMemory {
  allocated: number;
  peak: number;
  buffers: number;
  readonly limit: number;
}

/**
 * What has crossed between host and device so far: each write of a tensor's values and each read of a buffer is one.
 * Weights and the constants of programs do not count.
 */
export interface DeviceTraffic {
  uploads: number;
  uploadedBytes: number;
  downloads: number;
  downloadedBytes: number;
}

/** What a device is opened with. */
export interface OpenOptions {
  /** Limits to report tighter than the adapter's: for tests. */
  readonly limits?: LimitOverrides;
  /** Bytes that all buffers together may take, where that is less than is there. */
  readonly memoryLimit?: number | undefined;
}

/** A buffer whose bytes are on its device's account until `destroy`. */
export class DeviceBuffer implements Filled {
  readonly gpu: GPUBuffer;
  readonly bytes: number;
  readonly label: string;
  /** Why the bytes are not what was to be computed or written; reading them throws it. */
  fault: Error | undefined;
  #release: ((buffer: DeviceBuffer) => void) | undefined;

  constructor(gpu: GPUBuffer, label: string, release: (buffer: DeviceBuffer) => void) {
    this.gpu = gpu;
    this.bytes = gpu.size;
    this.label = label;
    this.#release = release;
  }

  get destroyed(): boolean {
    return this.#release === undefined;
  }

  /** Gives the memory back, once the work already submitted with it is done. A second call does nothing. */
  destroy(): void {
    this.#release?.(this);
    this.#release = undefined;
    this.gpu.destroy();
  }
}

/** A GPU device with counted memory, its capabilities, and typed errors. */
export class Device {
  readonly gpu: GPUDevice;
  readonly caps: DeviceCaps;
  /** Of its kernels; programs are planned by it. */
  readonly decisions = new Decisions();
  readonly memory: DeviceMemory;
  readonly traffic: DeviceTraffic = { uploads: 0, uploadedBytes: 0, downloads: 0, downloadedBytes: 0 };
  /** Resolves, and never rejects, when the device is gone; `destroy` counts. */
  readonly lost: Promise<DeviceLostError>;

  #loss: DeviceLostError | undefined;
  readonly #waiters = new Set<(reason: DeviceLostError) => void>();
  readonly #verdicts: Verdicts;
  readonly #made = new Map<unknown, unknown>();

  constructor(gpu: GPUDevice, caps: DeviceCaps, memoryLimit = Number.POSITIVE_INFINITY) {
    this.gpu = gpu;
    this.caps = caps;
    this.memory = { allocated: 0, peak: 0, buffers: 0, limit: memoryLimit };
    this.lost = gpu.lost.then(({ reason, message }) => this.#lose(reason, message));
    this.#verdicts = new Verdicts(gpu, (error) => this.#typed(error, 'GPU call'));
  }

  /**
   * A buffer of at least `bytes`, rounded up to the multiple of 4 that copies need, zeroed.
   * @throws InvalidArgumentError for a size that is no whole number; OutOfMemoryError at once when it is over a
   * known limit; when only the driver can tell, the next `wait` throws it.
   */
  createBuffer(
    bytes: number,
    usage: GPUBufferUsageFlags,
    label: string,
    mappedAtCreation = false,
  ): DeviceBuffer {
    if (this.#loss) throw this.#loss;
    if (!(Number.isInteger(bytes) && bytes >= 0)) {
      throw new InvalidArgumentError(
        `buffer "${label}"`,
        `its size is a whole number of bytes, got ${bytes}`,
      );
    }
    const size = Math.ceil(bytes / 4) * 4;
    const { memory, caps } = this;
    const refuse = (reason: string, limitBytes?: number) =>
      new OutOfMemoryError({
        requestedBytes: size,
        allocatedBytes: memory.allocated,
        label,
        limitBytes,
        reason,
      });
    if (size > caps.limits.maxBufferSize) {
      throw refuse(`one buffer holds at most ${caps.limits.maxBufferSize} bytes`, caps.limits.maxBufferSize);
    }
    if (memory.allocated + size > memory.limit) {
      throw refuse(`all buffers together may take ${memory.limit} bytes here`, memory.limit);
    }
    this.gpu.pushErrorScope('out-of-memory');
    const before = memory.allocated;
    let gpu: GPUBuffer;
    try {
      gpu = this.gpu.createBuffer({ size, usage, label, mappedAtCreation });
    } catch (error) {
      this.gpu.popErrorScope().catch(() => {});
      // WebGPU throws this where the mapped copy in our own address space does not fit.
      throw error instanceof RangeError ? refuse('no room to map it') : error;
    }
    this.#verdicts.expect(
      this.gpu.popErrorScope().then(
        (error) => {
          if (!error) return;
          buffer.destroy();
          const reason = 'refused by the driver';
          return new OutOfMemoryError({ requestedBytes: size, allocatedBytes: before, label, reason });
        },
        () => undefined,
      ),
    );
    const buffer = new DeviceBuffer(gpu, label, ({ bytes: freed }) => {
      memory.allocated -= freed;
      memory.buffers -= 1;
    });
    memory.allocated += size;
    memory.buffers += 1;
    memory.peak = Math.max(memory.peak, memory.allocated);
    return buffer;
  }

  /** What `make` makes for this device, made once: pipelines, layouts and the like. The function itself is the key. */
  once<T>(make: (device: Device) => T): T {
    if (!this.#made.has(make)) this.#made.set(make, make(this));
    return this.#made.get(make) as T;
  }

  /**
   * Runs `fn` and waits for WebGPU's verdict on the calls it made before its first `await`.
   * @throws GpuValidationError or OutOfMemoryError, naming `label`.
   */
  async scoped<T>(label: string, fn: () => T | Promise<T>): Promise<T> {
    const { result, error } = scopedError(this.gpu, fn);
    // An error explains why `result`, if it is a promise, fails too.
    if (result instanceof Promise) result.catch(() => {});
    const found = await this.wait(error);
    if (found) throw this.#typed(found, label);
    return this.wait(Promise.resolve(result));
  }

  /** Notes what calls made since the last verdict read and fill, for `verdict` and `read` to judge. */
  note(transfer: Transfer): void {
    this.#verdicts.note(transfer);
  }

  /**
   * The first error among all calls made since the last verdict, whoever made them, or the fault of one of `reads`.
   * Never rejects. Whoever does not throw the error must `deliver` it.
   */
  verdict(reads?: readonly Filled[]): Promise<Error | undefined> {
    return this.#orLost(this.#verdicts.pass(reads)).catch((loss: Error) => loss);
  }

  /** Leaves an error to whoever waits next. */
  deliver(error: Error): void {
    this.#verdicts.deliver(error);
  }

  /**
   * Awaits a promise of WebGPU's (`mapAsync`, `onSubmittedWorkDone`, …) together with the verdict on everything
   * that was called up to now.
   * @throws DeviceLostError when the device is or gets lost, and any earlier call's error.
   */
  wait<T>(promise: Promise<T>): Promise<T> {
    return this.#waitFor(promise, []);
  }

  async #waitFor<T>(promise: Promise<T>, reads: readonly Filled[]): Promise<T> {
    const result = this.#orLost(promise);
    result.catch(() => {});
    const error = await this.verdict(reads);
    // The error first: a buffer that did not fit also makes its own mapping fail, and says less.
    if (error) throw this.#loss ?? error;
    return result;
  }

  /** Resolves when all submitted work has finished. @throws DeviceLostError, and leaves other errors to who waits. */
  finished(): Promise<undefined> {
    return this.#orLost(this.gpu.queue.onSubmittedWorkDone());
  }

  /** Resolves when all submitted work has finished. Throws as `wait`. */
  async done(): Promise<void> {
    await this.wait(this.gpu.queue.onSubmittedWorkDone());
  }

  /**
   * Copies bytes back through a staging buffer; for results and tests, not for the hot path.
   * `offset` and `bytes` are multiples of 4. Throws as `wait`, and what went wrong when the buffer was last filled.
   */
  async read(source: DeviceBuffer, offset = 0, bytes = source.bytes - offset): Promise<ArrayBuffer> {
    if (
      !(offset >= 0 && bytes >= 0 && offset % 4 === 0 && bytes % 4 === 0 && offset + bytes <= source.bytes)
    ) {
      throw new InvalidArgumentError(
        `reading "${source.label}"`,
        `expected multiples of 4 within its ${source.bytes} bytes, got ${bytes} bytes at ${offset}`,
      );
    }
    this.traffic.downloads += 1;
    this.traffic.downloadedBytes += bytes;
    const staging = this.createBuffer(
      bytes,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      `read ${source.label}`,
    );
    try {
      const encoder = this.gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(source.gpu, offset, staging.gpu, 0, bytes);
      this.gpu.queue.submit([encoder.finish()]);
      await this.#waitFor(staging.gpu.mapAsync(GPUMapMode.READ), [source]);
      return staging.gpu.getMappedRange().slice(0);
    } finally {
      staging.destroy();
    }
  }

  /** Frees everything on the device; pending and later waits reject with DeviceLostError. */
  destroy(): void {
    this.#lose('destroyed', 'destroy() was called');
    this.gpu.destroy();
  }

  #lose(reason: GPUDeviceLostReason, message: string): DeviceLostError {
    this.#loss ??= new DeviceLostError(reason, message, this.memory.allocated);
    for (const reject of this.#waiters) reject(this.#loss);
    this.#waiters.clear();
    return this.#loss;
  }

  #typed(error: GPUError, label: string): Error {
    if (error instanceof GPUOutOfMemoryError) {
      const reason = error.message.trim() || 'refused by the driver';
      return new OutOfMemoryError({ allocatedBytes: this.memory.allocated, label, reason });
    }
    return new GpuValidationError(label, error.message);
  }

  /** `promise`, unless the device is lost first. */
  #orLost<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#loss) reject(this.#loss);
      else this.#waiters.add(reject);
      promise
        .then(resolve, (error) => {
          // Losing a device first rejects its promises with an AbortError and only then reports the loss.
          const grace = setTimeout(() => reject(error), 200);
          this.lost.then((loss) => {
            clearTimeout(grace);
            reject(loss);
          });
        })
        .finally(() => this.#waiters.delete(reject));
    });
  }
}

/**
 * Opens `adapter` with every useful feature and its largest limits.
 * @param memoryLimit bytes that all buffers together may take.
 */
export async function openAdapter(
  adapter: GPUAdapter,
  options: OpenOptions = {},
  memoryLimit?: number,
): Promise<Device> {
  const gpu = await adapter.requestDevice(deviceDescriptor(adapter));
  try {
    const most = Math.min(
      memoryLimit ?? Number.POSITIVE_INFINITY,
      options.memoryLimit ?? Number.POSITIVE_INFINITY,
    );
    return new Device(gpu, readCaps(adapter, gpu, options.limits), most);
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}
