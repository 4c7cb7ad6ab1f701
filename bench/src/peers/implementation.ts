/** What the benchmark asks of an implementation: ours and every peer alike. */
import type { Device } from '@dwm/core-tensor';
import type { Arrays, Task } from '../workloads/index.ts';

export interface Implementation {
  readonly name: string;
  /** `shared`: the benchmark's own device. `own`: a device it chose for itself. `cpu`: no GPU at all. */
  readonly runsOn: 'shared' | 'own' | 'cpu';
  /** Called once. @throws when it cannot run on this machine. */
  load(device: Device): Promise<void>;
  /** The ways it can do the task, none when it cannot; each is measured, the fastest right one stands for it. */
  formulations(task: Task): readonly string[];
  /**
   * Uploads everything and compiles what can be compiled.
   * @param inputs sets of inputs to rotate through.
   */
  prepare(task: Task, formulation: string, inputs: readonly Arrays[], weights: Arrays): Promise<Prepared>;
}

export interface Prepared {
  /** Computes the result of one set of inputs, and waits until it is there. */
  run(set: number): Promise<void>;
  /** The result of the last run, in the layout of the workload. */
  read(): Promise<Float32Array>;
  dispose(): Promise<void>;
}
