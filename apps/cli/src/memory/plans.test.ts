/** What a plan says to a user: stage by stage of a named device, in a line for the machine's own. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dwm } from '../testing.ts';

const cwd = join(import.meta.dirname, '../../../..');

test('dwm memory and dwm train --dry-run have a line for each stage on a named device', async () => {
  const run = await dwm(['memory', '--device', 'rtx4090']);
  expect(run.code, run.stderr).toBe(0);
  expect(run.stdout).toMatch(
    /^17 frames of 96x64, 1 step, on rtx4090\nstage +stays GB .*chosen\ntext .*\nencode .*\ndenoise .*\ndecode .*\nmemory: .* MB of 23\.0 GB: all blocks stay; about 0:0\d\n$/,
  );
  const live = await dwm(['memory', '--model', 'models/dwm-tiny-live', '--device', 'rtx4090'], { cwd });
  expect(live.code, live.stderr).toBe(0);
  expect(live.stdout).toMatch(
    /^blocks of 4 frames of 96x64, 1 step, on rtx4090\nstage .*\ntext .*\nlive .*\nmemory: .* MB of 23\.0 GB: all blocks stay, keys and values take .*\n$/,
  );
  const training = await dwm(['train', 'configs/first-lora.yaml', '--dry-run', '--device', 'h200'], { cwd });
  expect(training.code, training.stderr).toBe(0);
  expect(training.stdout).toMatch(
    /^mode lora: 200 steps of 2 samples, 17 frames of 96x64, on h200\nstage .*\nencode .*\nstep .*\ncheckpoint .*\nvalidation .*\nmemory: .* MB of 139 GB: .* are trained, adamw; about 0:0\d\n$/,
  );
}, 120_000);

test('dwm doctor says what a clip takes on the device that it has looked at', async () => {
  const ran = await dwm(['doctor', '--json']);
  expect(ran.code, ran.stderr).toBe(0);
  const { runs, device } = JSON.parse(ran.stdout);
  expect(device.adapter.kind).toMatch(/^(hardware|software)$/);
  expect(runs['a clip of dwm-tiny']).toMatch(/^memory: .* MB.*: all blocks stay; about \d+:\d\d/);
  expect(runs['a clip of the 5B']).toMatch(/^(memory: .*; about \d+:\d\d|.* needs \d.* at least, but)/);
}, 240_000);
