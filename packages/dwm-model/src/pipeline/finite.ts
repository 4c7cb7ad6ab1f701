/** Numbers that are none end a run where they first appear, and what was made before is kept. */
import { DwmError } from '@dwm/core-tensor';

/** @throws DwmError that counts what is not finite of `values`. */
export function requireFinite(values: Float32Array, what: string, cause: string): void {
  let bad = 0;
  for (const value of values) if (!Number.isFinite(value)) bad++;
  if (bad === 0) return;
  throw new DwmError('not-finite', `${what}: ${bad} of ${values.length} numbers are not finite; ${cause}`, {
    bad,
    count: values.length,
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
