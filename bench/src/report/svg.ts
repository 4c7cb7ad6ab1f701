/** The ratios as a plot: one line for each workload, one dot for each peer, on a logarithmic axis. */
import type { Row } from '../rows.ts';
import { fastest } from './markdown.ts';

const COLORS = ['#4269d0', '#efb118', '#ff725c', '#6cc5b0', '#9c6b4e'];
const [LEFT, RIGHT, TOP, LINE] = [330, 30, 70, 20];
const PLOT = 520;

export function svgPlot(title: string, rows: readonly Row[]): string {
  const peers = [...new Set(rows.map(({ peer }) => peer))].filter((peer) => peer !== 'dwm');
  const names = [...new Set(rows.map(({ suite, workload }) => `${suite}: ${workload}`))];
  const dots = names.flatMap((name, line) =>
    peers.flatMap((peer, color) => {
      const own = rows.filter((row) => `${row.suite}: ${row.workload}` === name && row.peer === peer);
      const ratio = fastest(own)?.ratio;
      return ratio ? [{ line, color, ratio }] : [];
    }),
  );
  const largest = Math.max(10, ...dots.map(({ ratio }) => Math.max(ratio, 1 / ratio)));
  const decades = Math.log10(largest);
  const x = (ratio: number) => LEFT + (PLOT * (Math.log10(ratio) + decades)) / (2 * decades);
  const y = (line: number) => TOP + LINE * (line + 0.5);
  const bottom = TOP + LINE * names.length;
  const text = (at: number, row: number, words: string, anchor = 'start') =>
    `<text x="${at.toFixed(1)}" y="${row}" text-anchor="${anchor}">${escapeXml(words)}</text>`;
  const rule = (at: number, color: string) =>
    `<line x1="${at.toFixed(1)}" x2="${at.toFixed(1)}" y1="${TOP}" y2="${bottom}" stroke="${color}"/>`;
  const ticks = [0.01, 0.1, 0.5, 1, 2, 5, 10, 100, 1000].filter((t) => t <= largest && t >= 1 / largest);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + PLOT + RIGHT}" height="${bottom + 40}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="white"/>',
    text(10, 20, `Peer's time by ours on ${title}: right of 1 we are faster`),
    ...peers.flatMap((peer, i) => [
      `<circle cx="${16 + 190 * i}" cy="42" r="5" fill="${COLORS[i % COLORS.length]}"/>`,
      text(26 + 190 * i, 46, peer),
    ]),
    ...ticks.flatMap((t) => [
      rule(x(t), t === 1 ? '#333' : '#ddd'),
      text(x(t), bottom + 18, `${t}`, 'middle'),
    ]),
    ...names.map((name, line) => text(LEFT - 10, y(line) + 4, name, 'end')),
    ...dots.map(
      ({ line, color, ratio }) =>
        `<circle cx="${x(ratio).toFixed(1)}" cy="${y(line)}" r="5" fill="${COLORS[color % COLORS.length]}"/>`,
    ),
    '</svg>',
    '',
  ].join('\n');
}

const escapeXml = (words: string): string =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
