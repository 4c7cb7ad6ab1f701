/** What a live run refuses. */
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';

/** Blocks that may be under way. */
export const IN_FLIGHT = 2;

/** A model was asked for what it has not learnt: to look back only. */
export class NotCausalError extends DwmError {
  /** @param model its folder, or family. */
  constructor(model: string) {
    super(
      'not-causal',
      `${model}: looks both ways, so it makes whole clips only (dwm generate); a live one has "causal" in transformer/config.json, as training.mode causal writes it`,
      { missing: 'transformer/config.json: causal' },
    );
  }
}

/** More blocks were pushed than may be under way. */
export class LiveBusyError extends DwmError {
  constructor() {
    super('live-busy', `${IN_FLIGHT} blocks are under way; await \`ready\` before the next push`, {
      inFlight: IN_FLIGHT,
    });
  }
}

/** @throws InvalidArgumentError where there would be guidance. */
export function requireNoGuidance(guidanceScale: number): void {
  if (guidanceScale <= 1) return;
  throw new InvalidArgumentError(
    'guidanceScale',
    `a live run has no guidance, but this is ${guidanceScale}; pass 1, for a model that was trained to go without`,
  );
}

/** A push failed, so that blocks after it have nothing to follow. */
export class LiveStoppedError extends DwmError {
  constructor(cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super('live-stopped', `the run stopped: ${why}; reset it to begin again`, {}, { cause });
  }
}
