/** `dwm doctor`: what this machine can run, how fast, and what is missing. */
import { DwmError } from '@dwm/core-tensor';
import { doctorReport, loadTuning, openNodeDevice, tuneCachePath } from '@dwm/core-tensor/node';
import { Decisions } from '@dwm/core-tensor/tune';
import { DEFAULTS, type RunSettings } from '@dwm/dwm-model';
import {
  type ModelShapes,
  type PlanTarget,
  planRun,
  publishedShapes,
  readModelShapes,
} from '@dwm/dwm-model/memory';
import { codecs, installWebCodecs } from '@dwm/media/node';
import type { Command } from 'commander';
import { openDefaultModel } from '../generate/default-model.ts';
import { needsOf } from '../memory/open-pipeline.ts';
import { planLine } from '../memory/table.ts';
import { measuredTarget } from '../memory/target.ts';
import { createReporter, size } from '../report.ts';

export function addDoctor(program: Command): void {
  program.command('doctor').action(async () => {
    const reporter = createReporter(program.opts().json === true);
    reporter.progress('measuring the adapter …');
    const { report, runs } = await examine();
    await installWebCodecs();
    const video = await codecs();
    const decisions = new Decisions();
    const decided = await loadTuning(
      { caps: report.device, decisions },
      { warn: (line) => reporter.warn(line) },
    );
    const kernels = { decided, file: tuneCachePath(), tried: Object.fromEntries(decisions.verdicts) };
    reporter.result({ ...report, kernels, codecs: video, runs }, describe(report, kernels, video, runs));
  });
}

/** The device, and what runs on it. */
async function examine() {
  const device = await openNodeDevice();
  try {
    const report = await doctorReport(device);
    return { report, runs: await plannedRuns(measuredTarget(device, report.peaks.gflopsF32)) };
  } finally {
    device.destroy();
  }
}

/** What a clip takes there, of the default model and of the published 5B, each at its own size. */
async function plannedRuns(target: PlanTarget): Promise<Record<string, string>> {
  const { folder, settings } = await openDefaultModel();
  const line = (shapes: ModelShapes, own: Partial<RunSettings>) => {
    try {
      return planLine(planRun(shapes, target, needsOf({ composite: false, ...DEFAULTS, ...own })));
    } catch (error) {
      // What would make it fit, dwm memory says.
      if (error instanceof DwmError) return error.message.split('; ')[0];
      throw error;
    }
  };
  return {
    'a clip of dwm-tiny': line(await readModelShapes(folder), settings),
    'a clip of the 5B': line(publishedShapes('5B'), {}),
  };
}

function describe(
  { device, peaks, adapters, system, missing }: Awaited<ReturnType<typeof doctorReport>>,
  kernels: { decided: number; file: string; tried: Record<string, string | null> },
  video: Awaited<ReturnType<typeof codecs>>,
  runs: Readonly<Record<string, string>>,
): string {
  const { adapter, features, limits } = device;
  const lines: [string, string][] = [
    ['adapter', `${adapter.description || adapter.device} (${adapter.vendor}, ${adapter.kind})`],
    [
      'peak',
      `${peaks.gflopsF32.toFixed(1)} GFLOPS f32${peaks.gflopsF16 ? `, ${peaks.gflopsF16.toFixed(1)} f16` : ''}, copy ${peaks.copyGBps.toFixed(1)} GB/s`,
    ],
    ['f16', features.f16 ? 'yes' : 'no'],
    [
      'subgroups',
      features.subgroups ? `${features.subgroupMinSize} to ${features.subgroupMaxSize} lanes` : 'no',
    ],
    [
      'subgroup matrices',
      features.subgroupMatrixConfigs
        .map((c) => `${c.M}x${c.N}x${c.K} ${c.componentType} to ${c.resultComponentType}`)
        .join(', ') || 'no',
    ],
    ['timestamps', features.timestampQuery ? 'yes' : 'no'],
    [
      'largest buffer',
      `${size(limits.maxBufferSize)}, of which one binding sees ${size(limits.maxStorageBufferBindingSize)}`,
    ],
    [
      'workgroup',
      `${limits.maxComputeInvocationsPerWorkgroup} invocations, ${size(limits.maxComputeWorkgroupStorageSize)}`,
    ],
    [
      'kernels',
      kernels.decided > 0
        ? `${kernels.decided} classes of shapes decided, in ${kernels.file}`
        : 'by their default rules; dwm tune measures them',
    ],
    ['self-test', selfTestText(Object.values(kernels.tried))],
    ...Object.entries(kernels.tried).flatMap(([kernel, wrong]): [string, string][] =>
      wrong === null ? [] : [['  left out', `${kernel}: ${wrong}; --force-kernels uses it`]],
    ),
    ...adapters.map(({ name, description }): [string, string] => [`  ${name}`, description ?? 'not here']),
    [
      'system',
      `${system.platform}, ${system.cores} cores, ${size(system.memoryBytes)}, Node ${system.node}, Dawn ${system.dawn}`,
    ],
    ...video.map(({ codec, task, works, reason }): [string, string] => [
      `${codec} ${task}`,
      works ? 'works' : `no: ${reason}`,
    ]),
    ...Object.entries(runs),
    ...missing.map(({ what, effect, fix }): [string, string] => [`missing: ${what}`, `${effect}; ${fix}`]),
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

const selfTestText = (verdicts: readonly (string | null)[]): string => {
  const wrong = verdicts.filter((verdict) => verdict !== null).length;
  if (verdicts.length === 0)
    return 'no kernel for matrix units or f16 was tried yet; runs with --precision f16 do';
  return `${verdicts.length - wrong} kernels for matrix units or f16 are right on this driver, ${wrong} wrong`;
};
