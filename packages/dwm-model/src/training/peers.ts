/**
 * Gradients of several processes, added up. Every process owns a part of the packed tensor: it gets that part of each
 * micro-batch's gradient, and adds them in the order of the micro-batches, with the same program as a process that
 * does all of them alone. So the sum has the same bits however many processes there are.
 */
import {
  add,
  compile,
  type Device,
  DeviceTensor,
  mul,
  type Program,
  spec,
  type Tensor,
  type TensorSpec,
  where,
} from '@dwm/core-tensor';

/** The other processes of a training, as MPI joins them. Every process makes the same calls in the same order. */
export interface Peers {
  readonly rank: number;
  readonly count: number;
  /** The bytes of all, as many from each, in the order of ranks. */
  gather(own: Uint8Array): Promise<Uint8Array>;
  /** `count` parts of one length, part r for rank r. @returns what each has for this one, in the order of ranks. */
  exchange(own: Uint8Array): Promise<Uint8Array>;
}

/** How gradients are sent. */
export interface WireOptions {
  /** Rounds what is sent to bf16, which halves it. */
  readonly bf16?: boolean;
}

/** Of one process's part, in one message: small enough to be packed while the one before is under way. */
const BUCKET_ELEMENTS = 1 << 20;

/** Nearest, ties to even; NaN stays NaN. @returns the upper halves of f32. */
export function toBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rounded = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i];
    const isNone = (x & 0x7fffffff) > 0x7f800000;
    rounded[i] = isNone ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return rounded;
}

export function fromBf16(values: Uint16Array): Float32Array {
  const bits = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = values[i] << 16;
  return new Float32Array(bits.buffer);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

export class GradientSum {
  readonly #peers: Peers;
  readonly #bf16: boolean;
  readonly #length: number;
  /** Elements that each process owns; the last ones of the last process may stand for nothing. */
  readonly #share: number;
  readonly #accumulate: Program<Record<string, TensorSpec>, { sum: Tensor }>;
  readonly #sum: DeviceTensor;
  #first = true;
  /** The gradient that is on its way, one part from each process. */
  #pending: Promise<readonly Float32Array[]> | undefined;

  private constructor(parts: {
    peers: Peers;
    bf16: boolean;
    length: number;
    share: number;
    accumulate: Program<Record<string, TensorSpec>, { sum: Tensor }>;
    sum: DeviceTensor;
  }) {
    this.#peers = parts.peers;
    this.#bf16 = parts.bf16;
    this.#length = parts.length;
    this.#share = parts.share;
    this.#accumulate = parts.accumulate;
    this.#sum = parts.sum;
  }

  /**
   * @param length elements of a gradient.
   * @param microBatches of all processes together, which the sum is divided by.
   */
  static async create(
    device: Device,
    peers: Peers,
    length: number,
    microBatches: number,
    { bf16 = false }: WireOptions = {},
  ): Promise<GradientSum> {
    const share = Math.ceil(length / peers.count);
    const part = spec([share]);
    const accumulate = await compile<Record<string, TensorSpec>, { sum: Tensor }>(
      device,
      { sum: part, gradient: part, isFirst: spec([1]) },
      (x) => ({ sum: add(where(x.isFirst, 0, x.sum), mul(x.gradient, 1 / microBatches)) }),
    );
    const sum = new DeviceTensor(device, part, 'part of the gradient sum');
    return new GradientSum({ peers, bf16, length, share, accumulate, sum });
  }

  /** Adds this round's gradients, one of each process. It is sent while the next one is computed. */
  async add(gradient: Float32Array): Promise<void> {
    await this.#arrive();
    this.#pending = this.#send(gradient);
    // Whoever waits for it next gets the error.
    this.#pending.catch(() => {});
  }

  /** The mean of all that was added by all processes. The next sum begins. */
  async take(): Promise<Float32Array> {
    await this.#arrive();
    this.#first = true;
    const own = (await this.#sum.read()) as Float32Array;
    const all = new Float32Array(this.#share * this.#peers.count);
    for (let at = 0; at < this.#share; at += BUCKET_ELEMENTS) {
      const bucket = own.subarray(at, at + BUCKET_ELEMENTS);
      const received = this.#unpacked(await this.#peers.gather(this.#packed(bucket)));
      for (let rank = 0; rank < this.#peers.count; rank++)
        all.set(received.subarray(rank * bucket.length, (rank + 1) * bucket.length), rank * this.#share + at);
    }
    return all.subarray(0, this.#length);
  }

  #packed = (values: Float32Array): Uint8Array => bytesOf(this.#bf16 ? toBf16(values) : values);

  #unpacked(bytes: Uint8Array): Float32Array {
    const { buffer, byteOffset, byteLength } = bytes;
    return this.#bf16
      ? fromBf16(new Uint16Array(buffer as ArrayBuffer, byteOffset, byteLength / 2))
      : new Float32Array(buffer as ArrayBuffer, byteOffset, byteLength / 4);
  }

  async #send(gradient: Float32Array): Promise<readonly Float32Array[]> {
    const { count } = this.#peers;
    const parts = Array.from({ length: count }, () => new Float32Array(this.#share));
    for (let at = 0; at < this.#share; at += BUCKET_ELEMENTS) {
      const width = Math.min(BUCKET_ELEMENTS, this.#share - at);
      const message = new Float32Array(width * count);
      for (let rank = 0; rank < count; rank++) {
        const start = rank * this.#share + at;
        message.set(gradient.subarray(start, Math.min(start + width, this.#length)), rank * width);
      }
      const received = this.#unpacked(await this.#peers.exchange(this.#packed(message)));
      for (let rank = 0; rank < count; rank++)
        parts[rank].set(received.subarray(rank * width, (rank + 1) * width), at);
    }
    return parts;
  }

  /** Adds what was on its way. */
  async #arrive(): Promise<void> {
    const parts = await this.#pending;
    this.#pending = undefined;
    for (const gradient of parts ?? []) {
      const isFirst = Float32Array.of(this.#first ? 1 : 0);
      const { sum } = await this.#accumulate.run({ sum: this.#sum, gradient, isFirst });
      this.#sum.copyFrom(sum);
      this.#first = false;
    }
  }

  destroy(): void {
    this.#accumulate.destroy();
    this.#sum.destroy();
  }
}

/** Numbers of every process, for each of its own in turn: `[[a of rank 0, a of rank 1], [b of rank 0, …]]`. */
export async function gatherNumbers(peers: Peers, own: readonly number[]): Promise<number[][]> {
  const received = await peers.gather(bytesOf(Float64Array.from(own)));
  const all = new Float64Array(
    received.buffer.slice(received.byteOffset, received.byteOffset + received.byteLength),
  );
  return own.map((_, i) => Array.from({ length: peers.count }, (_, rank) => all[rank * own.length + i]));
}
