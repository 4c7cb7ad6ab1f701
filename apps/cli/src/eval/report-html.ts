/**
 * The evaluation as one file that needs nothing else: a table, the distribution of every metric, metrics over time, the
 * best and worst clips as strips that play, and the settings. The page's own policy forbids every request.
 */
import { CHANGE_DILATION } from '@dwm/dwm-model/metrics';
import { encodePng, type Frames } from '@dwm/media/node';
import type { Strip } from './judge.ts';
import { metricsOf } from './summary.ts';
import type { ClipResult, Evaluation, MethodResult } from './types.ts';

const escapeHtml = (text: string) =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);

const COLORS = ['#2563eb', '#d9480f', '#2b8a3e', '#9c36b5', '#0b7285', '#868e96', '#e8a900', '#c2255c'];
const colorOf = (index: number) => COLORS[index % COLORS.length];

const STYLE = `
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1250px;padding:0 1rem;color:#1c1e21;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
th,td{padding:.25rem .45rem;font-size:.85rem;text-align:right;border-bottom:1px solid #e3e5e8;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
tr.baseline td,tr.ablation td{color:#666}td.best{font-weight:700;color:#1c1e21}
small,.note{color:#666;font-size:.85rem}
i.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:1rem}
figure{margin:0}figcaption{font-weight:600}
.strip{image-rendering:pixelated;background-size:100% auto;max-width:100%}
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(420px,1fr));gap:1.2rem}
body.paused .strip{animation-play-state:paused}
pre{background:#f5f6f7;padding:1rem;overflow-x:auto;font-size:.8rem}
`;

function tableHtml(methods: readonly MethodResult[]): string {
  const metrics = metricsOf(methods);
  const head = metrics
    .map(
      ({ title, unit, better }) =>
        `<th>${title}${unit ? `, ${unit}` : ''} ${better === 'high' ? '↑' : '↓'}</th>`,
    )
    .join('');
  const rows = methods.map(({ name, kind, summary }, m) => {
    const cells = metrics.map(({ key, digits, better }) => {
      const found = summary[key];
      if (!found) return '<td>–</td>';
      const of = methods.filter((method) => method.kind === 'model' || method.kind === 'predictions');
      const means = of.flatMap((method) => method.summary[key]?.mean ?? []);
      const best = (better === 'high' ? Math.max : Math.min)(...means);
      const mark = of.length > 1 && means.length > 1 && found.mean === best ? ' class="best"' : '';
      const range = `${found.low.toFixed(digits)} to ${found.high.toFixed(digits)}`;
      return `<td${mark}>${found.mean.toFixed(digits)}<br><small>${range}</small></td>`;
    });
    const dot = `<i class="dot" style="background:${colorOf(m)}"></i>`;
    return `<tr class="${kind}"><td>${dot}${escapeHtml(name)}</td>${cells.join('')}</tr>`;
  });
  return `<table><thead><tr><th></th>${head}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

const WIDTH = 330;

/** Every clip a dot, a row a method, the mean and its interval over them. */
function distribution(
  methods: readonly MethodResult[],
  metric: ReturnType<typeof metricsOf>[number],
): string {
  const { key, title, unit, digits } = metric;
  const valuesOf = ({ clips }: MethodResult) =>
    clips.map((clip) => clip[key]).filter((value) => typeof value === 'number');
  const all = methods.flatMap(valuesOf);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const x = (value: number) => 12 + ((value - low) / (high - low || 1)) * (WIDTH - 24);
  const rows = methods.map((method, m) => {
    const y = 14 + 18 * m;
    const dots = valuesOf(method).map(
      (value, i) =>
        `<circle cx="${x(value).toFixed(1)}" cy="${(y + ((i * 7) % 9) - 4).toFixed(1)}" r="2.2" fill="${colorOf(m)}" opacity=".45"/>`,
    );
    const found = method.summary[key];
    const bar = found
      ? `<line x1="${x(found.low).toFixed(1)}" x2="${x(found.high).toFixed(1)}" y1="${y}" y2="${y}" stroke="#1c1e21" stroke-width="2"/><line x1="${x(found.mean).toFixed(1)}" x2="${x(found.mean).toFixed(1)}" y1="${y - 6}" y2="${y + 6}" stroke="#1c1e21" stroke-width="2"/>`
      : '';
    return dots.join('') + bar;
  });
  const height = 14 + 18 * methods.length + 14;
  const ends = `<text x="12" y="${height - 2}">${low.toFixed(digits)}</text><text x="${WIDTH - 12}" y="${height - 2}" text-anchor="end">${high.toFixed(digits)}</text>`;
  const caption = `${title}${unit ? `, ${unit}` : ''}`;
  return `<figure><figcaption>${caption}</figcaption><svg viewBox="0 0 ${WIDTH} ${height}" font-size="11" fill="#666">${rows.join('')}${ends}</svg></figure>`;
}

/** Mean over clips at every frame, a line a method. */
function overTime(
  methods: readonly MethodResult[],
  title: string,
  digits: number,
  seriesOf: (clip: ClipResult) => readonly (number | null)[] | undefined,
): string {
  const lines = methods.map(({ clips }) => {
    const series = clips.flatMap((clip) => {
      const found = seriesOf(clip);
      return found ? [found] : [];
    });
    const frames = Math.max(0, ...series.map((values) => values.length));
    return Array.from({ length: frames }, (_, f) => {
      const values = series.map((one) => one[f]).filter((value) => typeof value === 'number');
      return values.length > 0 ? values.reduce((a, b) => a + b, 0) / values.length : null;
    });
  });
  const all = lines.flat().filter((value) => value !== null);
  if (all.length === 0) return '';
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const most = Math.max(...lines.map((line) => line.length));
  const x = (f: number) => 46 + (f / Math.max(1, most - 1)) * (WIDTH - 56);
  const y = (value: number) => 146 - ((value - low) / (high - low || 1)) * 134;
  const paths = lines.map((line, m) => {
    const points = line.flatMap((value, f) =>
      value === null ? [] : [`${x(f).toFixed(1)},${y(value).toFixed(1)}`],
    );
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${colorOf(m)}" stroke-width="1.8"/>`;
  });
  const axis = `<text x="40" y="16" text-anchor="end">${high.toFixed(digits)}</text><text x="40" y="149" text-anchor="end">${low.toFixed(digits)}</text><text x="46" y="166">frame 1</text><text x="${WIDTH - 10}" y="166" text-anchor="end">${most}</text>`;
  return `<figure><figcaption>${title}</figcaption><svg viewBox="0 0 ${WIDTH} 170" font-size="11" fill="#666">${paths.join('')}${axis}</svg></figure>`;
}

/** All frames under one another, so that a background can step through them. */
async function filmstrip({ data, frames, height, width }: Frames): Promise<string> {
  const png = await encodePng({ data, height: frames * height, width });
  return `data:image/png;base64,${Buffer.from(png).toString('base64')}`;
}

async function stripHtml(strip: Strip, caption: string): Promise<string> {
  const { frames, height, width, fps } = strip.frames;
  const seconds = (frames / fps).toFixed(2);
  const style = `aspect-ratio:${width}/${height};background-image:url(${await filmstrip(strip.frames)});animation:play${frames} ${seconds}s steps(${Math.max(2, frames)},jump-none) infinite`;
  return `<figure><div class="strip" style="${style}"></div><small>${escapeHtml(caption)}</small></figure>`;
}

const SHOWN = 3;

/** @param strips of the first method, in the order of its clips. */
export async function reportHtml(evaluation: Evaluation, strips: readonly Strip[]): Promise<string> {
  const { methods, settings } = evaluation;
  const [first] = methods;
  const key = first.summary.psnrChanged ? 'psnrChanged' : 'psnr';
  const name = key === 'psnr' ? 'PSNR' : 'PSNR of the changed region';
  const ranked = first.clips
    .map((clip, i) => ({ clip, strip: strips[i], value: clip[key] ?? Number.NaN }))
    .filter(({ value }) => Number.isFinite(value))
    .sort((a, b) => b.value - a.value);
  const show = (list: typeof ranked) =>
    Promise.all(
      list.map(({ clip, strip, value }) =>
        stripHtml(strip, `${clip.clip}${clip.action ? ` (${clip.action})` : ''}: ${value.toFixed(2)} dB`),
      ),
    );
  const best = await show(ranked.slice(0, SHOWN));
  const worst = await show(ranked.slice(SHOWN).slice(-SHOWN).reverse());
  const parts = [
    ...(first.summary.psnrChanged ? ['static'] : []),
    ...(first.summary.handIou ? ['hands'] : []),
    'truth',
    first.name,
  ].join(' | ');
  const metrics = metricsOf(methods);
  const lengths = [...new Set(strips.map(({ frames }) => frames.frames))];
  const keyframes = lengths.map(
    (n) => `@keyframes play${n}{from{background-position:0 0}to{background-position:0 100%}}`,
  );
  const plots = [
    overTime(methods, 'PSNR over time, dB', 1, (clip) => clip.overTime.psnr),
    overTime(methods, 'SSIM over time', 3, (clip) => clip.overTime.ssim),
    overTime(methods, 'hand IoU over time', 2, (clip) => clip.overTime.handIou),
  ];
  const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<title>dwm eval</title><link rel="icon" href="data:,"><style>${STYLE}${keyframes.join('')}</style></head><body>
<h1>${escapeHtml(first.name)}: ${first.clips.length} clip${first.clips.length === 1 ? '' : 's'}</h1>
<p class="note">Means over clips with bootstrap 95% intervals. “Changed” is where truth and static video differ, and ${CHANGE_DILATION} pixels around;
“to static” is the PSNR to the static video; “outcome” is the share of clips whose last frame is nearer to the truth than to the static scene where something changed.</p>
${tableHtml(methods)}
<h2>Distribution</h2><p class="note">A dot a clip, a row a method in the order of the table; the bar is the mean with its interval.</p>
<div class="plots">${metrics.map((metric) => distribution(methods, metric)).join('')}</div>
<h2>Over time</h2><div class="plots">${plots.join('')}</div>
<h2>Best clips <small>by ${name}: ${escapeHtml(parts)}</small> <button type="button" onclick="document.body.classList.toggle('paused')">play / pause</button></h2>
<div class="clips">${best.join('')}</div>
${worst.length > 0 ? `<h2>Worst clips</h2><div class="clips">${worst.join('')}</div>` : ''}
<h2>Settings</h2><pre>${escapeHtml(JSON.stringify(settings, undefined, 2))}</pre>
</body></html>
`;
}
