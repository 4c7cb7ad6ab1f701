/** What was found, for people: what the device is, whether it computes rightly, how fast, and of what peak. */
import type { DeviceReport, GoldenResult, WorkResult } from './run.ts';

/** Part of a file's name: the device's own. */
export const reportName = ({ device: { adapter } }: DeviceReport): string => {
  const words = (adapter.description || adapter.device || adapter.vendor || 'device').replace(
    /\(.*?\)/g,
    ' ',
  );
  const name = words.toLowerCase().replace(/[^a-z0-9.]+/g, '-');
  return `dwm-report-${name.replace(/^[-.]+|[-.]+$/g, '').slice(0, 60)}`;
};

const number = (value: number): string =>
  value >= 1000
    ? Math.round(value).toLocaleString('en-US').replaceAll(',', ' ')
    : `${Number(value.toPrecision(3))}`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)];
};

function goldenRow({ name, precision, worst, passed, seconds, reason }: GoldenResult): string[] {
  const verdict = passed ? 'right' : worst ? 'WRONG' : 'not run';
  const error = worst
    ? `${worst.error.toExponential(1)} of ${worst.tolerance.toExponential(1)}`
    : (reason ?? '');
  return [name, precision, verdict, error, worst ? `${seconds.toFixed(1)} s` : ''];
}

function workRow(result: WorkResult): string[] {
  const { name, size, precision, share, ms, gflops, gbps, intensity, percentOfPeak, kernels, reason } =
    result;
  const start = [name, size, precision, `${number(100 * share)}%`];
  if (ms === undefined) return [...start, `not measured: ${reason}`, '', '', '', '', ''];
  return [
    ...start,
    `${number(ms)} ms`,
    `${number(gflops! / 1000)}`,
    `${number(gbps!)}`,
    `${number(intensity!)}`,
    `${percentOfPeak!.toFixed(0)}%`,
    kernels!.join('; '),
  ];
}

/** A page of Markdown, whose heading is the device. */
export function reportPage(result: DeviceReport): string {
  const { device, peaks, selfTest, golden, work, paper, date, seconds } = result;
  const { adapter, features } = device;
  const matrices = features.subgroupMatrixConfigs.map(
    ({ M, N, K, componentType, resultComponentType }) =>
      `${M}x${N}x${K} ${componentType} to ${resultComponentType}`,
  );
  const rates = [
    `${number(peaks.gflopsF32 / 1000)} TFLOPS f32`,
    ...(peaks.gflopsF16 ? [`${number(peaks.gflopsF16 / 1000)} f16`] : []),
    `${number(peaks.copyGBps)} GB/s copied`,
  ];
  const wrong = Object.entries(selfTest).filter(([, fault]) => fault !== null);
  const tried = Object.keys(selfTest).length;
  const busiest = work
    .filter(({ ms }) => ms !== undefined)
    .map(({ name, precision, ms, share }) => ({ name: `${name} in ${precision}`, whole: ms! / share }));
  return `${[
    `## ${adapter.description || adapter.device}`,
    '',
    `${date.slice(0, 10)}, ${seconds.toFixed(0)} s; ${[adapter.vendor, adapter.architecture, adapter.kind].filter(Boolean).join(', ')}.`,
    '',
    `- measured peaks: ${rates.join(', ')}`,
    `- subgroups of ${features.subgroupMinSize} to ${features.subgroupMaxSize}; f16: ${features.f16 ? 'yes' : 'no'}`,
    `- matrix units: ${matrices.join(', ') || 'none'}`,
    `- self-test: ${tried ? `${tried - wrong.length} kernels right, ${wrong.length} wrong and left out` : 'no kernel that ran needs one'}`,
    ...wrong.map(([kernel, fault]) => `  - ${kernel}: ${fault}`),
    '',
    'Golden cases: the worst error of each beside its bound.',
    '',
    ...table(['case', 'precision', '', 'error', 'time'], golden.map(goldenRow)),
    '',
    "Work at the 5B model's sizes, cut down to what the device computes in a moment. Of real: operations of the size",
    'measured, of those of the real size. FLOP/byte counts what is read and written at least once. Of peak: of the peaks',
    'above, whichever bounds it; they are of plain multiply-adds, which matrix units surpass.',
    '',
    ...table(
      ['work', 'size', 'precision', 'of real', 'time', 'TFLOPS', 'GB/s', 'FLOP/byte', 'of peak', 'kernels'],
      work.map(workRow),
    ),
    '',
    'On paper, the real sizes by the kernels that this device takes: operations, and bytes between memory and caches, of',
    'which 64 workgroups that run together load each once.',
    '',
    ...table(
      ['work', 'size', 'precision', 'kernel', 'GFLOP', 'MB', 'FLOP/byte'],
      paper.flatMap(({ name, size, precision, kernels }) =>
        kernels.map(({ kernel, flops, bytes, flopsPerByte }) => [
          ...[name, size, precision, kernel],
          ...[flops / 1e9, bytes / 1e6, flopsPerByte].map(number),
        ]),
      ),
    ),
    '',
    'At the real size, at these rates:',
    '',
    ...busiest.map(
      ({ name, whole }) => `- ${name}: ${whole < 1000 ? `${number(whole)} ms` : `${number(whole / 1000)} s`}`,
    ),
  ].join('\n')}\n`;
}
