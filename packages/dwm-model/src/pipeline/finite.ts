/** Numbers that are none end a run where they first appear, and what was made before is kept. */
import { abs, type Device, DwmError, evaluate, less, sum, type Tensor } from '@dwm/core-tensor';

/** Above every number that a sound run makes; neither infinity nor what is no number is below it. */
const MOST = 3e38;

/** Why what the VAE makes is not finite. */
export const DAMAGED_VAE = "the VAE's weights are damaged, or belong to another model";

/** @throws DwmError that counts what is not finite of `values`. */
export function requireFinite(values: Float32Array, what: string, cause: string): void {
  let finite = 0;
  for (const value of values) if (Number.isFinite(value)) finite++;
  refuse(values.length - finite, values.length, what, cause);
}

/**
 * Of a tensor of five dimensions on the device: a count for each row comes down, small enough to be exact in f32.
 * @throws as `requireFinite`.
 */
export async function requireFiniteTensor(
  device: Device,
  tensor: Tensor,
  what: string,
  cause: string,
): Promise<void> {
  const { counts } = await evaluate(device, { counts: sum(less(abs(tensor), MOST), [3, 4]) });
  const finite = (await counts.read().finally(() => counts.destroy())) as Float32Array;
  const count = tensor.shape.reduce((a, b) => a * b);
  refuse(count - finite.reduce((a, b) => a + b, 0), count, what, cause);
}

function refuse(bad: number, count: number, what: string, cause: string): void {
  if (bad === 0) return;
  throw new DwmError('not-finite', `${what}: ${bad} of ${count} numbers are not finite; ${cause}`, {
    bad,
    count,
  });
}

/** Denoising is done and decoding failed: `latents` need only be decoded again. */
export class UndecodedError extends DwmError {
  /** [1, F', C, h, w], as `Generated` has them. */
  readonly latents: Float32Array;
  readonly latentShape: readonly number[];

  constructor(cause: Error, latents: Float32Array, latentShape: readonly number[]) {
    super(cause instanceof DwmError ? cause.code : 'not-decoded', cause.message, { decoded: false });
    this.cause = cause;
    this.latents = latents;
    this.latentShape = latentShape;
  }
}
