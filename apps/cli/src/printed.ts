/**
 * What is printed may not arrive: the disk that it is sent to is full, or whoever read it has seen enough. The work
 * goes on without a reader; results that were to be kept and are not are an error.
 */
import { writeProblem } from '@dwm/core-tensor/node';

let lost: NodeJS.ErrnoException | undefined;

/** From now on no stream that breaks ends the process. */
export function watchPrinted(): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error) => {
    lost ??= error;
  });
}

/** Waits for standard output. @throws WriteError if not all of it could be written. */
export async function allPrinted(): Promise<void> {
  if (!process.stdout.destroyed) await new Promise((done) => process.stdout.write('', done));
  if (lost && lost.code !== 'EPIPE') throw writeProblem(lost, 'standard output', 'the work is done');
}
