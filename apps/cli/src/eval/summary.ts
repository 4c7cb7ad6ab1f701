/** Means with their intervals, as numbers, as a table for the terminal and as a plain text file. */
import { bootstrapMean } from '@dwm/dwm-model/metrics';
import {
  type ClipResult,
  type Evaluation,
  METRICS,
  type MethodKind,
  type MethodResult,
  type Summary,
} from './types.ts';

function summarize(clips: readonly ClipResult[]): Summary {
  const entries = METRICS.flatMap(({ key }) => {
    const values = clips.map((clip) => clip[key]).filter((value) => typeof value === 'number');
    const interval = bootstrapMean(values);
    return interval ? [[key, interval]] : [];
  });
  return Object.fromEntries(entries);
}

export function methodResult(name: string, kind: MethodKind, clips: readonly ClipResult[]): MethodResult {
  const actions = [...new Set(clips.flatMap(({ action }) => action ?? []))].sort();
  const byAction = Object.fromEntries(
    actions.map((action) => [action, summarize(clips.filter((clip) => clip.action === action))]),
  );
  return { name, kind, summary: summarize(clips), byAction, clips };
}

/** Metrics that any method has. */
export const metricsOf = (methods: readonly { summary: Summary }[]) =>
  METRICS.filter(({ key }) => methods.some(({ summary }) => summary[key]));

/** Columns padded to one width: the first to the left, numbers to the right. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, c) => Math.max(...rows.map((row) => row[c].length)));
  return rows.map((row) =>
    row
      .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c])))
      .join('  ')
      .trimEnd(),
  );
}

/** `21.36 ±0.52`: the mean, and the larger half of the 95% interval. */
export function table(methods: readonly { name: string; summary: Summary }[]): string {
  const metrics = metricsOf(methods);
  const rows = methods.map(({ name, summary }) => [
    name,
    ...metrics.map(({ key, digits }) => {
      const found = summary[key];
      if (!found) return '–';
      const half = Math.max(found.high - found.mean, found.mean - found.low);
      return `${found.mean.toFixed(digits)} ±${half.toFixed(digits)}`;
    }),
  ]);
  return columns([['', ...metrics.map(({ title }) => title)], ...rows]).join('\n');
}

/** Tables by action: one row a method, for actions of two clips and more. */
export function actionTables(methods: readonly MethodResult[]): string {
  const [first] = methods;
  return Object.entries(first.byAction)
    .filter(([, summary]) => (summary.psnr?.count ?? 0) > 1)
    .map(([action, summary]) => {
      const rows = methods.map(({ name, byAction }) => ({ name, summary: byAction[action] ?? {} }));
      return `${action}, ${summary.psnr!.count} clips\n${table(rows)}`;
    })
    .join('\n\n');
}

/** `results.txt`: a block a method, means first, then one line a clip. */
export function resultsText({ methods }: Evaluation): string {
  const blocks = methods.map(({ name, summary, clips }) => {
    const metrics = metricsOf([{ summary }]);
    const means = metrics.map(({ key, title, digits }) => {
      const { mean, low, high } = summary[key]!;
      const number = (value: number) => value.toFixed(digits + 2);
      return `${title}: ${number(mean)} (95% ${number(low)} to ${number(high)})`;
    });
    const lines = clips.map((clip) => {
      const numbers = metrics.map(({ key, title, digits }) => {
        const value = clip[key];
        return `${title} ${typeof value === 'number' ? value.toFixed(digits + 2) : '-'}`;
      });
      return `${clip.clip}: ${numbers.join(', ')}`;
    });
    return [`== ${name} ==`, `Videos: ${clips.length}`, ...means, '', ...lines].join('\n');
  });
  return `${blocks.join('\n\n')}\n`;
}
