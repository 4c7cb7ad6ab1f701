/** `npm run bench`: opens a device, measures its peaks, runs the suites and writes what it found. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Device } from '@dwm/core-tensor';
import { openNodeDevice, swiftShaderFolder, writeFileAtomic } from '@dwm/core-tensor/node';
import { measurePeaks, type Peaks } from '@dwm/core-tensor/tune';
import { measureBesideCopy } from './copy.ts';
import { measure } from './measure.ts';
import { type Options, readOptions, UsageError } from './options.ts';
import { markdownPage, peaksText, type RunInfo } from './report/markdown.ts';
import { svgPlot } from './report/svg.ts';
import { printCase } from './report/terminal.ts';
import { boundOf, type Finding, type Row, rowsOf } from './rows.ts';
import { shareDevice } from './share-device.ts';
import { type Machine, SUITES } from './suites/index.ts';

/** Milliseconds of timing for each case, beside checking and compiling. */
const BUDGET_MS = { quick: 2000, full: 15_000 };
const OUT = fileURLToPath(new URL('../out/', import.meta.url));

async function main(options: Options): Promise<void> {
  const device = await openNodeDevice();
  shareDevice(device);
  const adapter = device.caps.adapter.description || device.caps.adapter.device;
  if (adapter.includes('SwiftShader')) await hideOtherDrivers();
  const before = await measurePeaks(device);
  console.log(`${adapter}: ${peaksText(before)}; seed ${options.seed}`);
  const started = performance.now();
  const findings = await runSuites(options, device, adapter, before);
  const seconds = (performance.now() - started) / 1000;
  // Other work on the machine hides a peak now and then: the better of two looks.
  const peaks = best(before, await measurePeaks(device));
  const rows = findings.flatMap((finding) => rowsOf(finding, adapter, peaks));
  console.log(`\n${rows.length} rows in ${seconds.toFixed(0)} s; ${peaksText(peaks)}`);
  await write({ date: new Date().toISOString().slice(0, 10), adapter, peaks, options }, rows);
  const own = rows.filter(({ peer, reason }) => peer === 'dwm' && reason !== null);
  for (const { workload, reason } of own) console.error(`${workload}: ours is not right: ${reason}`);
  // Peers leave workers and timers behind.
  process.exit(own.length > 0 ? 1 : 0);
}

const best = (a: Peaks, b: Peaks): Peaks => ({
  gflopsF32: Math.max(a.gflopsF32, b.gflopsF32),
  copyGBps: Math.max(a.copyGBps, b.copyGBps),
});

function machineOf({ caps: { adapter, features } }: Device, quick: boolean): Machine {
  const { kind } = adapter;
  return { kind, quick, narrow: kind === 'software' && features.subgroupMaxSize < 8 };
}

async function runSuites(
  { suites, quick, only, seed }: Options,
  device: Device,
  adapter: string,
  peaks: Peaks,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const suite of SUITES.filter(({ name }) => suites.includes(name))) {
    console.log(`\n${suite.name}: ${suite.about}`);
    for (const each of suite.cases(machineOf(device, quick))) {
      if (!only.test(each.name)) continue;
      const open = await each.open(device, seed);
      const budget = quick ? BUDGET_MS.quick : BUDGET_MS.full;
      const found =
        boundOf(open.cost, peaks) === 'memory'
          ? await measureBesideCopy(device, open, budget, seed)
          : { measurements: await measure(open, budget) };
      const finding = { suite: suite.name, workload: each.name, cost: open.cost, ...found };
      findings.push(finding);
      const rows = rowsOf(finding, adapter, peaks);
      printCase(each.name, rows);
      const note = open.note?.((peer) => rows.find((row) => row.peer === peer)?.ms ?? undefined);
      if (note) console.log(`  ${note}`);
    }
  }
  return findings;
}

async function write(info: RunInfo, rows: readonly Row[]): Promise<void> {
  const json = JSON.stringify(rows, null, 1);
  const files: [string, string][] = [
    [join(OUT, 'rows.json'), json],
    [join(OUT, 'table.md'), markdownPage(info, rows)],
    [join(OUT, 'ratios.svg'), svgPlot(info.adapter, rows)],
  ];
  if (info.options.json) files.push([info.options.json, json]);
  for (const [file, text] of files) {
    await writeFileAtomic(file, text);
    console.log(file);
  }
}

/** onnxruntime-node takes the first driver it finds; leave it only the one that is measured. */
async function hideOtherDrivers(): Promise<void> {
  const driver = join(await swiftShaderFolder(), 'vk_swiftshader_icd.json');
  Object.assign(process.env, { VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver });
}

try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exit(2);
}
