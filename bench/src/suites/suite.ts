/** A suite is a list of cases for a machine. */
import type { Case } from '../case.ts';

export interface Machine {
  /** Software adapters get scaled-down shapes; what is left of the real ones is in each workload's name. */
  readonly kind: 'software' | 'hardware';
  /** A software adapter with vectors of less than 8 lanes (SwiftShader), a third as fast as others. */
  readonly narrow: boolean;
  /** A few minutes in all, fewer and smaller shapes. */
  readonly quick: boolean;
}

export interface Suite {
  readonly name: string;
  readonly about: string;
  cases(machine: Machine): readonly Case[];
}
