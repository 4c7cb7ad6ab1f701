/**
 * Runs killed with SIGKILL at random moments, in the middle of checkpoints too: what is found afterwards is
 * whole, and the run ends with the bits of one that was never killed. DWM_KILLS sets how many.
 */
import { spawn } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listCheckpoints } from './checkpoint.ts';
import { type TinyRun, tinyOptions, tinyRun } from './testing.ts';
import { train } from './trainer.ts';

const KILLS = Number(process.env.DWM_KILLS ?? 4);
/** Enough that no run is through before its last kill. */
const STEPS = 6 * KILLS;

let tiny: TinyRun;
beforeAll(async () => {
  tiny = await tinyRun();
});
afterAll(() => rm(tiny.folder, { recursive: true }));

const settings = {
  max_train_steps: STEPS,
  custom_settings: { load_tensors: true, checkpointing_steps: 1, checkpoints_total_limit: 2 },
};

test(`killed ${KILLS} times, a run ends equal`, async () => {
  const whole = await train(tinyOptions(tiny.config('whole', settings)));
  const config = tiny.config('killed', settings);
  const script = join(tiny.folder, 'run.mts');
  const here = JSON.stringify(join(import.meta.dirname, 'trainer.ts'));
  const testing = JSON.stringify(join(import.meta.dirname, 'testing.ts'));
  await writeFile(
    script,
    `import { train } from ${here};
import { tinyOptions } from ${testing};
await train({ ...tinyOptions(${JSON.stringify(config)}), resume: 'latest', onEvent: (e) => { if (e.kind === 'step') console.log(e.step); } });
process.exit(0);
`,
  );
  const output = config.experiment.output_dir;
  let kills = 0;
  for (let life = 0; kills < KILLS; life++) {
    const child = spawn(process.execPath, ['--import', 'tsx', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    // A little after a step: while its checkpoint is written, pruned, or the next step runs.
    child.stdout.once('data', () => {
      setTimeout(() => child.kill('SIGKILL'), (life * 37) % 61);
    });
    const code = await ended;
    if (code === null) kills++;
    else expect(code).toBe(0);
    for (const { path } of await listCheckpoints(output)) {
      expect([...(await readSafetensors(join(path, 'optimizer.safetensors'))).keys()]).toEqual([
        'theta',
        'm',
        'v',
      ]);
    }
  }
  const last = await train({ ...tinyOptions(config), resume: 'latest' });
  const left = (await readdir(output, { recursive: true })).filter((name) => /\.(tmp|old|lock)$/.test(name));
  expect(left).toEqual([]);
  expect(last.losses).toEqual(whole.losses);
  expect(await readFile(join(output, `checkpoint-${STEPS}/optimizer.safetensors`))).toEqual(
    await readFile(join(tiny.folder, `whole/checkpoint-${STEPS}/optimizer.safetensors`)),
  );
}, 1_800_000);
