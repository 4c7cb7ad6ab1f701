/** One row group of a suite: something to compute, and everyone who computes it. */
import type { Device } from '@dwm/core-tensor';
import { seeded } from '@dwm/core-tensor/testing';
import { dwm, type Implementation, loaded, type Prepared } from './peers/index.ts';
import { normals } from './random.ts';
import {
  type Arrays,
  type Cost,
  costOf,
  count,
  type Expected,
  familyOf,
  type Shape,
  type Workload,
} from './workloads/index.ts';

export interface Case {
  readonly name: string;
  open(device: Device, seed: number): Promise<OpenCase>;
}

export interface OpenCase {
  readonly cost: Cost;
  /** Of the inputs of set 0; `repeatable` where all we can ask for is finite values and the same bits again. */
  readonly expected: Expected | 'repeatable';
  /** How many sets of inputs to rotate through. */
  readonly sets: number;
  /** Ours is the first. */
  readonly contenders: readonly Contender[];
  /** What else the medians say, given that of each contender that counted. */
  note?(ms: (peer: string) => number | undefined): string | undefined;
}

export interface Contender {
  readonly peer: string;
  /** Which way of computing it, where there are several. */
  readonly formulation: string;
  readonly runsOn: Implementation['runsOn'];
  /** Where it computes something else than the case: a part of it. */
  readonly expected?: Expected;
  /** @throws with the reason why it cannot take part. */
  prepare(): Promise<Prepared>;
}

/** Two sets of inputs together should not fit in a CPU's last cache. */
const LARGE_BYTES = 32 << 20;

/** A case of one kernel, ours against `peers`. */
export function kernelCase(workload: Workload, peers: readonly Implementation[]): Case {
  const { name, task } = workload;
  const cost = costOf(task);
  return {
    name,
    async open(device, seed) {
      const random = seeded(seed);
      const family = familyOf(task);
      const draw = (shapes: Readonly<Record<string, Shape>>): Arrays =>
        Object.fromEntries(
          Object.entries(shapes).map(([key, shape]) => [key, normals(count(shape), random)]),
        );
      const sets = cost.bytes > LARGE_BYTES ? 2 : 3;
      const inputs = Array.from({ length: sets }, () => draw(family.inputs(task)));
      const weights = draw(family.weights(task));
      const contenders = [dwm, ...peers].flatMap((implementation) =>
        implementation.formulations(task).map(
          (formulation): Contender => ({
            peer: implementation.name,
            formulation,
            runsOn: implementation.runsOn,
            async prepare() {
              await loaded(implementation, device);
              return implementation.prepare(task, formulation, inputs, weights);
            },
          }),
        ),
      );
      const expected = family.expected(task, { ...inputs[0], ...weights }, random);
      return {
        cost,
        expected,
        sets,
        contenders,
      };
    },
  };
}
