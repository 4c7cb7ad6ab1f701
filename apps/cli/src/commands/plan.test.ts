import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readTransforms } from '@dwm/renderer';
import { afterAll, expect, test } from 'vitest';
import { dwm, ownLines, temporaryFolder } from '../testing.ts';

const golden = resolve(import.meta.dirname, '../../../../packages/dwm-model/tests/golden/pipeline_e2e');
const root = await temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const model = ['--model', golden, '--prompt-embeds', join(golden, 'io.safetensors'), '--guidance-scale', '1'];
const small = ['--num-inference-steps', '1', '--num-frames', '9', '--height', '32', '--width', '48'];
const search = ['plan', '--synth', '1000001', '--population', '3', '--elite', '1', ...model, ...small];
const run = (rounds: string, ...args: string[]) =>
  dwm(['--json', ...search, '--rounds', rounds, ...args], { env: { DWM_TUNE: 'off' } });

test('a search goes on where it was, saves the best trajectory and runs it in the physics', async () => {
  const out = join(root, 'a');
  const first = await run('1', '--out', out);
  expect(first.code, first.stderr).toBe(0);
  expect(JSON.parse(first.stdout).clips).toBe(3);
  const second = JSON.parse((await run('2', '--out', out)).stdout);
  expect(second.clips).toBe(6);
  expect(second.distance).toBeLessThanOrEqual(JSON.parse(first.stdout).distance);
  expect(second.opened).toBeGreaterThan(-0.1);
  const text = readFileSync(second.trajectory, 'utf8');
  expect(readTransforms({ name: 'trajectory', text }).frames).toHaveLength(9);
  const whole = await run('2', '--out', join(root, 'b'));
  expect(JSON.parse(whole.stdout).distance).toBe(second.distance);
  const other = await run('2', '--out', out, '--seed', '7');
  expect(ownLines(other).at(-1)).toMatch(/search\.json is another search's/);
}, 300_000);
