/** The run as a Markdown page. */
import type { Peaks } from '@dwm/core-tensor/tune';
import type { Options } from '../options.ts';
import { type Row, ratioText } from '../rows.ts';
import { nameOf } from './terminal.ts';

export interface RunInfo {
  /** ISO date. */
  readonly date: string;
  readonly adapter: string;
  readonly peaks: Peaks;
  readonly options: Options;
}

export const peaksText = ({ gflopsF32, copyGBps }: Peaks): string =>
  `${gflopsF32.toFixed(1)} GFLOPS in f32, ${copyGBps.toFixed(1)} GB/s copied`;

export function markdownPage({ date, adapter, peaks, options }: RunInfo, rows: readonly Row[]): string {
  const { suites, quick, seed } = options;
  const lines = [
    `## ${adapter}`,
    '',
    `${date}; suites ${suites.join(', ')}${quick ? ' (quick)' : ''}, seed ${seed}; measured peaks: ${peaksText(peaks)}.`,
    '',
    'Ratio: the time of a peer, in its fastest right way, divided by ours; the median over interleaved turns, and',
    'where it lies with 95%. Above 1 we are faster; where that holds 1, it is undecided. Of peak: of the FMA peak or,',
    'where the rate is in GB/s, of a copy of as many bytes in the same turns.',
    '',
  ];
  for (const suite of new Set(rows.map((row) => row.suite))) {
    const own = rows.filter((row) => row.suite === suite);
    lines.push(`### ${suite}`, '', ...table(own), '');
    const listed = own.filter(({ reason }) => reason !== null);
    if (listed.length > 0) lines.push(`Not counted in ${suite}:`, '', ...reasons(listed), '');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

/** One line for each workload, one column for each peer. */
function table(rows: readonly Row[]): string[] {
  const peers = [...new Set(rows.map(({ peer }) => peer))].filter((peer) => peer !== 'dwm');
  const head = ['workload', 'ms', 'spread', 'rate', 'of peak', ...peers.map((peer) => `${peer}`)];
  const body = [...new Set(rows.map(({ workload }) => workload))].map((workload) => {
    const own = rows.filter((row) => row.workload === workload);
    const ours = own.find(({ peer }) => peer === 'dwm')!;
    const ratios = peers.map((peer) => {
      const counted = fastest(own.filter((row) => row.peer === peer));
      return counted?.ratio ? ratioText(counted) : 'not counted';
    });
    if (ours.ms === null) return [workload, ours.reason ?? '', '', '', '', ...ratios];
    const rate =
      ours.bound === 'compute' ? `${ours.gflops!.toFixed(1)} GFLOPS` : `${ours.gbps!.toFixed(2)} GB/s`;
    return [
      workload,
      ours.ms.toFixed(ours.ms < 10 ? 2 : 1),
      `${(100 * ours.spread!).toFixed(0)}%`,
      rate,
      `${ours.percentOfPeak!.toFixed(0)}%`,
      ...ratios,
    ];
  });
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...body.map(line)];
}

/** The fastest of those that were counted. */
export function fastest(rows: readonly Row[]): Row | undefined {
  return rows
    .filter(({ ms }) => ms !== null)
    .reduce<Row | undefined>((best, row) => (best && best.ms! <= row.ms! ? best : row), undefined);
}

/** One line for each reason, with the workloads it holds for. */
function reasons(rows: readonly Row[]): string[] {
  const workloads = new Map<string, string[]>();
  for (const row of rows) {
    const key = `${nameOf(row)}: ${row.reason}`;
    workloads.set(key, [...(workloads.get(key) ?? []), row.workload]);
  }
  return [...workloads].map(([key, names]) => `- ${key.replaceAll('|', '\\|')} (${names.join('; ')})`);
}
