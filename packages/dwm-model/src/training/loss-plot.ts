/** The loss of a run as an SVG picture: every logged value faint, a running mean on top, log scale. */
export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN] = [800, 400, 60, 40, 16];

export function lossPlot(points: readonly LossPoint[], title: string): string {
  const shown = points.filter(({ loss }) => Number.isFinite(loss) && loss > 0);
  const text = (x: number, y: number, value: string, anchor = 'middle') =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}" font-family="sans-serif" font-size="12" fill="#555">${value}</text>`;
  const name = title.replace(/[<>&]/g, '');
  // Readers of the picture take a title only as the first child.
  const frame = (inside: string) =>
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}"><title>${name}</title><rect width="100%" height="100%" fill="#fff"/>${inside}</svg>\n`;
  const heading = text(WIDTH / 2, MARGIN + 2, name);
  if (shown.length === 0) return frame(heading);

  const first = shown[0].step;
  const last = Math.max(first + 1, shown[shown.length - 1].step);
  const logs = shown.map(({ loss }) => Math.log10(loss));
  const low = Math.floor(Math.min(...logs) * 10) / 10;
  const high = Math.max(low + 0.1, Math.ceil(Math.max(...logs) * 10) / 10);
  const x = (step: number) => LEFT + ((step - first) / (last - first)) * (WIDTH - LEFT - MARGIN);
  const y = (log: number) => MARGIN + 12 + ((high - log) / (high - low)) * (HEIGHT - MARGIN - 12 - BOTTOM);
  const path = (values: readonly number[]) =>
    values
      .map((log, i) => `${i === 0 ? 'M' : 'L'}${x(shown[i].step).toFixed(1)} ${y(log).toFixed(1)}`)
      .join('');

  const decay = 1 - 1 / Math.max(1, Math.min(50, shown.length / 20));
  let running = logs[0];
  const smooth = logs.map((log) => {
    running = decay * running + (1 - decay) * log;
    return running;
  });
  const ticks = Array.from({ length: 5 }, (_, i) => low + ((high - low) * i) / 4).map(
    (log) =>
      `<line x1="${LEFT}" x2="${WIDTH - MARGIN}" y1="${y(log)}" y2="${y(log)}" stroke="#eee"/>${text(LEFT - 6, y(log) + 4, (10 ** log).toPrecision(3), 'end')}`,
  );
  const steps = [first, (first + last) / 2, last].map((step) =>
    text(x(step), HEIGHT - BOTTOM + 18, String(Math.round(step))),
  );
  return frame(
    `${heading}${ticks.join('')}${steps.join('')}${text(WIDTH / 2, HEIGHT - 6, 'step')}` +
      `<path d="${path(logs)}" fill="none" stroke="#9bb8e0"/><path d="${path(smooth)}" fill="none" stroke="#1f5fbf" stroke-width="2"/>`,
  );
}
