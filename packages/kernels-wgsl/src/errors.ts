/** What no kernel does: outside of what a family takes. The planner turns it into an error that names the step. */
export class UnsupportedError extends Error {}

/** Work that does not fit in the limits of the device: the planner turns it into an error that names the step. */
export class TooLargeError extends Error {
  readonly needed: number | undefined;
  readonly limit: number | undefined;

  constructor(message: string, needed?: number, limit?: number) {
    super(message);
    this.needed = needed;
    this.limit = limit;
  }
}
