/**
 * What can go wrong on a device, as types: no adapter, no memory, a mistake of ours, a device that is gone.
 */
import { DwmError } from '../errors.ts';

/** No adapter, or not the one that was asked for; the message says what to install. */
export class NoAdapterError extends DwmError {
  constructor(message: string, details: Record<string, unknown> = {}) {
    super('no-adapter', message, details);
  }
}

/** What did not fit, and where. */
export interface OutOfMemoryDetails {
  /** Size of the buffer that did not fit; undefined when the driver does not say which one it was. */
  readonly requestedBytes?: number;
  /** What this device already held. */
  readonly allocatedBytes: number;
  readonly label: string;
  /** The limit that was passed, when it is a known one. */
  readonly limitBytes?: number;
  readonly reason: string;
}

/** A buffer that does not fit: larger than one buffer may be, over the memory limit, or refused by the driver. */
export class OutOfMemoryError extends DwmError {
  constructor(details: OutOfMemoryDetails) {
    const size = details.requestedBytes === undefined ? '' : `${details.requestedBytes} bytes for `;
    super(
      'out-of-memory',
      `out of GPU memory: ${size}"${details.label}" do not fit (${details.reason}; ${details.allocatedBytes} bytes ` +
        'already allocated): use fewer frames, a smaller size, or more offloading',
      { ...details },
    );
  }
}

/** A call that breaks WebGPU's rules. Always a bug on our side, so it carries Dawn's own words. */
export class GpuValidationError extends DwmError {
  constructor(label: string, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    const line = message.trim().replaceAll(/\s*\n\s*/g, ' ');
    super('gpu-validation', `${label}: ${line}`, { label, ...details }, options);
  }
}

/** The device is gone: destroyed by us, reset by the driver, or unplugged. Nothing on it can be read any more. */
export class DeviceLostError extends DwmError {
  readonly reason: GPUDeviceLostReason;

  constructor(reason: GPUDeviceLostReason, message: string, allocatedBytes: number) {
    super(
      'device-lost',
      `GPU device lost (${reason}): ${message.trim().replaceAll(/\s*\n\s*/g, ' ') || 'no message from the driver'}; ` +
        `${allocatedBytes} bytes were allocated on it; open a new device and load again`,
      { reason, message, allocatedBytes },
    );
    this.reason = reason;
  }
}
