/**
 * WebGPU's verdict on every call. It reports errors late and out of line, so scopes of all three kinds are open on the
 * device at all times, and whoever waits closes them and opens new ones: what comes out is what went wrong between
 * the last such moment and this one, whatever the timing. Buffers that the calls in between filled are marked with
 * the error, and so is what is computed from them, until they are filled anew: their bytes are those from before.
 */

/** Something with a value: a buffer. */
export interface Filled {
  /** Why the value is not what was to be computed or written. */
  fault: Error | undefined;
}

/** What some GPU calls read, and what they fill. */
export interface Transfer {
  readonly reads: readonly Filled[];
  readonly fills: readonly Filled[];
  /** Whether what they fill holds nothing from before. */
  readonly whole: boolean;
}

const FILTERS: readonly GPUErrorFilter[] = ['internal', 'out-of-memory', 'validation'];

/** The first error among the calls that `fn` makes before its first `await`. */
export function scopedError<T>(gpu: GPUDevice, fn: () => T): { result: T; error: Promise<GPUError | null> } {
  for (const filter of FILTERS) gpu.pushErrorScope(filter);
  let error: Promise<GPUError | null>;
  let result: T;
  try {
    result = fn();
  } finally {
    error = closeScopes(gpu);
  }
  return { result, error };
}

/** A scope fails only with its device, and then the loss says more. */
const closeScopes = (gpu: GPUDevice): Promise<GPUError | null> =>
  Promise.all(FILTERS.map(() => gpu.popErrorScope())).then(
    (errors) => errors.find((error) => error !== null) ?? null,
    () => null,
  );

export class Verdicts {
  readonly #gpu: GPUDevice;
  readonly #typed: (error: GPUError) => Error;
  #transfers: Transfer[] = [];
  #pending: Promise<Error | undefined>[] = [];
  #undelivered: Error | undefined;
  /** Verdicts are passed in the order of the calls, so that a buffer's mark is that of its last filling. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(gpu: GPUDevice, typed: (error: GPUError) => Error) {
    this.#gpu = gpu;
    this.#typed = typed;
    this.#open();
  }

  /** Notes what calls made since the last verdict do. */
  note(transfer: Transfer): void {
    this.#transfers.push(transfer);
  }

  /** Makes an error that its caller looks for on its own part of the next verdict. */
  expect(error: Promise<Error | undefined>): void {
    this.#pending.push(error);
  }

  /** Hands an error that nobody was told of to the next who asks. */
  deliver(error: Error): void {
    this.#undelivered ??= error;
  }

  /**
   * The first error among all calls since the last verdict; else the mark on something that `reads` names.
   * Never rejects; settles late or never once the device is lost.
   */
  pass(reads: readonly Filled[] = []): Promise<Error | undefined> {
    const found = closeScopes(this.#gpu);
    this.#open();
    const [transfers, pending, last] = [this.#transfers, this.#pending, this.#last];
    this.#transfers = [];
    this.#pending = [];
    const verdict = (async () => {
      await last;
      // A buffer that did not fit makes the calls that use it fail too, and they say less.
      const refused = (await Promise.all(pending)).find((error) => error !== undefined);
      const gpuError = await found;
      const error = refused ?? (gpuError ? this.#typed(gpuError) : undefined);
      for (const transfer of transfers) {
        const fault = error ?? marked(transfer.reads);
        for (const buffer of transfer.fills) if (fault || transfer.whole) buffer.fault = fault;
      }
      const undelivered = this.#undelivered;
      this.#undelivered = undefined;
      return undelivered ?? error ?? marked(reads);
    })();
    this.#last = verdict;
    return verdict;
  }

  #open(): void {
    for (const filter of FILTERS) this.#gpu.pushErrorScope(filter);
  }
}

const marked = (buffers: readonly Filled[]): Error | undefined =>
  buffers.find(({ fault }) => fault !== undefined)?.fault;
