/**
 * Golden cases against our numbers, in one process on one device:
 *
 *     npm run test:fixtures -- [--dir DIR] [--only NAME,NAME] [--precision f32|f16]
 *
 * DIR (else $DWM_FIXTURES, else `fixtures` and `fixtures-next` of $DWM_SHARED, else of ../shared) holds one folder a
 * case, or is one. NAME is a folder or a layout. $DWM_ADAPTER chooses the device. Networks run in f32, and once more in
 * f16 where the device has it; --precision leaves the other out. Every printed group of checks counts as passed or
 * failed, a case that throws as failed, and what this device cannot run as skipped. The exit code is 1 if anything
 * failed or nothing ran, except where there is no shared data at all.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Device, Precision } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { countMatrixKernels } from '@dwm/core-tensor/testing';
import { type CaseFolder, type Check, type Layout, layoutOf } from './fixtures.ts';

interface Job {
  readonly title: string;
  readonly run: () => Promise<Check[]>;
}

let matrixKernels = () => 0;
const counts = { passed: 0, failed: 0, skipped: 0 };

interface Options {
  readonly dir: string;
  readonly chosen: boolean;
  readonly shared: string;
  readonly only: readonly string[];
  readonly precisions: readonly Precision[];
}

function options(): Options {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { dir: text, only: text, precision: text } });
  const { precision } = values;
  if (precision !== undefined && precision !== 'f32' && precision !== 'f16')
    throw new Error(`--precision is f32 or f16, not ${precision}`);
  const repository = resolve(import.meta.dirname, '..');
  const shared = resolve(repository, process.env.DWM_SHARED || '../shared', 'fixtures');
  const chosen = values.dir ?? (process.env.DWM_FIXTURES || undefined);
  return {
    ...{ dir: resolve(chosen ?? shared), chosen: chosen !== undefined, shared },
    only: values.only?.split(',') ?? [],
    precisions: precision ? [precision] : ['f32', 'f16'],
  };
}

const keysOf = (file: string): Record<string, unknown> => {
  try {
    return Object(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return {};
  }
};

function lookAt(path: string): CaseFolder {
  const spec = keysOf(join(path, 'case.json'));
  return {
    name: basename(path),
    path,
    files: new Set(readdirSync(path)),
    caseKeys: new Set(Object.keys(spec)),
    caseKind: String(spec.kind ?? ''),
    className: (part) => String(keysOf(join(path, part, 'config.json'))._class_name ?? ''),
  };
}

/** `dir` itself if it is a case, else its folders. */
function findCases(dir: string): CaseFolder[] {
  if (existsSync(join(dir, 'case.json'))) return [lookAt(dir)];
  return readdirSync(dir)
    .map((name) => join(dir, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory())
    .sort()
    .map(lookAt);
}

/** Checks by what their names start with, up to the first dot or colon. */
function groups(checks: readonly Check[]): Map<string, Check[]> {
  const byGroup = new Map<string, Check[]>();
  for (const check of checks) {
    const end = check.name.search(/[.:]/);
    const group = end < 0 ? '' : check.name.slice(0, end);
    byGroup.set(group, [...(byGroup.get(group) ?? []), check]);
  }
  return byGroup;
}

/** How far a check is into its tolerance: above 1 where it fails. */
function strain({ error, tolerance }: Check): number {
  const share = error === 0 ? 0 : error / tolerance;
  return Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
}

function report(group: string, checks: readonly Check[]): void {
  const worst = checks.reduce((a, b) => (strain(b) > strain(a) ? b : a));
  const failed = checks.filter((check) => strain(check) > 1).length;
  const show = (value: number) => (value === 0 ? '0' : value.toExponential(1));
  const share = failed > 0 ? `${failed} of ${checks.length} checks fail` : `${checks.length} checks`;
  console.log(
    `  ${failed > 0 ? 'FAIL' : 'ok  '} ${group || 'all'}: worst ${show(worst.error)} of ${show(worst.tolerance)} at ${worst.name} (${share})`,
  );
  counts[failed > 0 ? 'failed' : 'passed'] += 1;
}

const oneLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0];

async function run({ title, run: check }: Job, progress: string): Promise<void> {
  console.log(`${progress} ${title}`);
  try {
    const checks = await check();
    if (checks.length === 0) throw new Error('there is nothing to compare in this folder');
    const ran = checks.filter((one) => one.notRun === undefined);
    for (const [group, members] of groups(ran)) report(group, members);
    for (const { name, notRun } of checks) {
      if (notRun === undefined) continue;
      console.log(`  NOT RUN ${name}: ${notRun}`);
      counts.skipped += 1;
    }
  } catch (error) {
    console.log(`  FAIL ${oneLine(error)}`);
    counts.failed += 1;
  }
}

/** Whether something ran, or could not for want of data that nobody asked for by name. */
async function main(): Promise<boolean> {
  const { dir, chosen, shared, only, precisions } = options();
  if (!existsSync(dir)) {
    if (chosen)
      throw new Error(`${dir}: no such folder; give --dir or DWM_FIXTURES a folder of golden cases`);
    console.log(`${dir}: skipped, no shared data`);
    counts.skipped += 1;
    return true;
  }
  const next = `${shared}-next`;
  const folders = chosen || !existsSync(next) ? [dir] : [dir, next];
  const found = folders.flatMap(findCases).map((folder) => ({ folder, layout: layoutOf(folder) }));
  const called =
    (name: string) =>
    ({ folder, layout }: (typeof found)[number]) =>
      name === folder.name || name === layout?.name;
  const unknown = only.filter((name) => !found.some(called(name)));
  if (unknown.length > 0 || found.length === 0) {
    const names = found.map(({ folder }) => folder.name).join(', ') || 'nothing';
    throw new Error(
      `${dir}: no case${unknown.length > 0 ? ` ${unknown.join(', ')}` : 's'} in it; it holds ${names}`,
    );
  }
  const cases = found.filter((each) => only.length === 0 || only.some((name) => called(name)(each)));

  let device: Promise<Device> | undefined;
  const openDevice = () => {
    device ??= openNodeDevice().then((opened) => {
      matrixKernels = countMatrixKernels(opened);
      return opened;
    });
    return device;
  };
  const jobs: Job[] = [];
  for (const { folder, layout } of cases) {
    if (!layout || layout.kind === 'skipped') {
      console.log(`skip ${folder.name}: ${layout?.reason ?? 'unknown layout'}`);
      counts.skipped += 1;
    } else if (layout.kind !== 'asset') {
      jobs.push(...(await jobsOf(folder, layout)));
    }
  }

  async function jobsOf(
    folder: CaseFolder,
    layout: Exclude<Layout, { kind: 'skipped' | 'asset' }>,
  ): Promise<Job[]> {
    if (layout.kind === 'host') {
      const own = join(dir, 't5_tokenizer');
      const tokenizer = existsSync(own) ? own : join(shared, 't5_tokenizer');
      return [{ title: folder.name, run: () => layout.run(folder.path, tokenizer) }];
    }
    const opened = await openDevice();
    if (layout.kind === 'drawn' && layout.finePixels && opened.caps.adapter.architecture === 'swiftshader') {
      console.log(
        `skip ${folder.name}: SwiftShader puts vertices on a coarser grid than the golden renderer`,
      );
      counts.skipped += 1;
      return [];
    }
    if (layout.kind === 'drawn') return [{ title: folder.name, run: () => layout.run(opened, folder.path) }];
    const possible = precisions.filter((precision) => precision === 'f32' || opened.caps.features.f16);
    return possible.map((precision) => ({
      title: `${folder.name} ${precision}`,
      run: () => layout.run(opened, folder.path, precision),
    }));
  }

  for (const [i, job] of jobs.entries()) await run(job, `[${i + 1}/${jobs.length}]`);
  const adapter = (await device)?.caps.adapter;
  if (matrixKernels() > 0)
    console.log(`${matrixKernels()} matrix kernels ran on ${adapter?.description || adapter?.device}`);
  (await device)?.destroy();
  return jobs.length > 0;
}

const good = await main().catch((error) => {
  console.log(oneLine(error));
  return false;
});
const { passed, failed, skipped } = counts;
if (!good || failed > 0) process.exitCode = 1;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
