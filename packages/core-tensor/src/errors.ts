import { oneLine } from './text.ts';

/**
 * Errors that a user can act on. Every one is a single line that names the file, the field, what was
 * expected and the fix, printable whatever the file held; `code` and `details` are what `--json` prints, so that
 * a program can act on it too.
 */
export class DwmError extends Error {
  /** Stable machine-readable kind, e.g. `invalid-file`. */
  readonly code: string;
  /** What the message says, as data: file, field, expected, actual, sizes in bytes. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(oneLine(message), options);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

/** A file that is missing, truncated, or holds something else than its format promises. */
export class InvalidFileError extends DwmError {
  constructor(file: string, problem: string, details: Record<string, unknown> = {}) {
    super('invalid-file', `${file}: ${problem}`, { file, ...details });
  }
}

/** An argument or option outside its range. */
export class InvalidArgumentError extends DwmError {
  constructor(field: string, problem: string, details: Record<string, unknown> = {}) {
    super('invalid-argument', `${field}: ${problem}`, { field, ...details });
  }
}
