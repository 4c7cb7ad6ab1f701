/** What happens to a command whose output does not arrive. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const DWM = join(import.meta.dirname, '../bin/dwm.js');

test.skipIf(!existsSync('/dev/full'))(
  'a full disk behind standard output is one line and exit code 1',
  () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [DWM, '--version'], {
      stdio: ['ignore', full, 'pipe'],
    });
    closeSync(full);
    expect(String(stderr)).toMatch(/^error: standard output: the disk is full; [^\n]*\n$/);
    expect(status).toBe(1);
  },
);

test.skipIf(process.platform === 'win32')('a reader that has seen enough is no error', () => {
  const command = `"${process.execPath}" "${DWM}" generate --help | true; exit \${PIPESTATUS[0]}`;
  const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
