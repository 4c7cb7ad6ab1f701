/** What the command's tests share: where the shared data lies, and the command itself, run as a user would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const repository = resolve(import.meta.dirname, '../../..');
export const shared = resolve(repository, process.env.DWM_SHARED || '../shared');
export const haveShared = existsSync(join(shared, 'fixtures/pipeline_e2e'));
/** Suffix of the names of tests that need the shared data. */
export const needsShared = haveShared ? '' : ' (skipped, no shared data)';

export const temporaryFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'dwm-cli-'));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `dwm …args`.
 * @param options `started` sees the process, `watch` also what it has written to standard error so far.
 */
export function dwm(
  args: readonly string[],
  options: {
    cwd?: string;
    env?: Record<string, string>;
    started?: (child: ChildProcess) => void;
    watch?: (child: ChildProcess, stderr: string) => void;
  } = {},
): Promise<Finished> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [join(repository, 'apps/cli/bin/dwm.js'), ...args], {
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    options.started?.(child);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
      options.watch?.(child, stderr);
    });
    child.on('error', fail);
    child.on('close', (code) => done({ code, stdout, stderr }));
  });
}

/** Lines of standard error. */
export const ownLines = ({ stderr }: Finished): string[] => stderr.split('\n').filter((line) => line !== '');
