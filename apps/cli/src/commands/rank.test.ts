import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readPng, writePng } from '@dwm/media/node';
import { writeTransforms } from '@dwm/renderer';
import { makeWorld, planAction } from '@dwm/synth';
import { afterAll, expect, test } from 'vitest';
import { boxGlb } from '../../../web/src/testing/box-glb.ts';
import { dwm, ownLines, temporaryFolder } from '../testing.ts';

const golden = resolve(import.meta.dirname, '../../../../packages/dwm-model/tests/golden/pipeline_e2e');
const root = await temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const scene = join(root, 'box.glb');
writeFileSync(scene, boxGlb());
const goal = join(root, 'goal.png');
await writePng(goal, { data: new Uint8Array(32 * 48 * 3).fill(90), height: 32, width: 48 });

const world = await makeWorld(1_000_001, 'pull-drawer');
const size = { width: 48, height: 32, frames: 9, fps: 8 };
const write = (name: string, action: 'pull-drawer' | 'touch-nothing', fixedCamera: boolean) => {
  const { acting } = planAction(world, { ...size, action, fixedCamera });
  writeFileSync(join(root, name), writeTransforms(acting));
  return join(root, name);
};
const pull = write('pull.json', 'pull-drawer', true);
const nothing = write('nothing.json', 'touch-nothing', true);
const elsewhere = write('elsewhere.json', 'touch-nothing', false);

const model = ['--model', golden, '--prompt-embeds', join(golden, 'io.safetensors'), '--guidance-scale', '1'];
const small = ['--num-inference-steps', '1', '--num-frames', '9', '--height', '32', '--width', '48'];

test('two candidates over two seeds: a ranking with its uncertainty, clips and a sheet', async () => {
  const out = join(root, 'out');
  const args = ['rank', '--scene', scene, '--goal', goal, '--candidates', pull, nothing, '--seeds', '2'];
  const ran = await dwm([...args, ...model, ...small, '--out', out], { env: { DWM_TUNE: 'off' } });
  expect(ran.code, ran.stderr).toBe(0);
  const { ranking, distance } = JSON.parse(readFileSync(join(out, 'ranking.json'), 'utf8'));
  expect(distance).toBe('latent');
  expect(ranking.map(({ name }: { name: string }) => name).sort()).toEqual(['nothing.json', 'pull.json']);
  expect(ranking[0].distance.mean).toBeLessThanOrEqual(ranking[1].distance.mean);
  expect(ranking[0].distances).toHaveLength(2);
  expect(ran.stdout).toMatch(/1\. \S+ +\d+\.\d{4} {2}95% .* best in \d+% of resamples/);
  const sheet = await readPng(join(out, 'sheet.png'));
  expect(sheet.width).toBe(3 * 184 + 4);
}, 240_000);

test('wrong input is one line', async () => {
  const cases: [string[], RegExp][] = [
    [
      ['--goal-text', 'the drawer is open', '--candidates', pull],
      /^error: goal-text: needs a text-image model/,
    ],
    [['--candidates', pull], /^error: goal: is required/],
    [['--goal', scene, '--candidates', pull], /box\.glb: is no goal/],
    [
      ['--goal', goal, '--candidates', pull, elsewhere],
      /elsewhere\.json has another camera path than .*pull\.json/,
    ],
  ];
  for (const [args, message] of cases) {
    const ran = await dwm(['rank', '--scene', scene, ...args, ...model, ...small, '--out', join(root, 'no')]);
    expect(ran.code).toBe(1);
    expect(ownLines(ran).at(-1)).toMatch(message);
  }
}, 240_000);
