/** The table as it grows, on the terminal. */
import { type Row, ratioText } from '../rows.ts';

export function printCase(name: string, rows: readonly Row[]): void {
  console.log(`\n${name}`);
  for (const row of rows) {
    const label = `  ${nameOf(row)}`.padEnd(52);
    if (row.ms === null) {
      console.log(`${label} not counted: ${row.reason}`);
      continue;
    }
    const { ms, spread, gflops, gbps, percentOfPeak, bound } = row;
    const ratio = row.peer === 'dwm' ? '' : ratioText(row);
    const rate = bound === 'compute' ? `${gflops!.toFixed(1)} GFLOPS` : `${gbps!.toFixed(2)} GB/s`;
    console.log(
      `${label} ${ms.toFixed(ms < 10 ? 2 : 1).padStart(9)} ms ±${(50 * spread!).toFixed(0).padStart(2)}% ` +
        `${rate.padStart(13)} ${percentOfPeak === null ? '     ' : `${percentOfPeak.toFixed(0)}%`.padStart(5)}  ${ratio}`,
    );
  }
}

/** Peer and, where a peer has several ways, which one. */
export const nameOf = ({ peer, formulation }: Row): string =>
  ['dwm', 'ops', 'jit'].includes(formulation) ? peer : `${peer}: ${formulation}`;
