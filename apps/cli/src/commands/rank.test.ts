import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readPng, writePng } from '@dwm/media/node';
import { writeTransforms } from '@dwm/renderer';
import { makeMotion, makeWorld } from '@dwm/synth';
import { afterAll, expect, test } from 'vitest';
import { madeUpCLIP } from '../../../../packages/dwm-model/src/text-image/testing.ts';
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
  const { acting } = makeMotion(world, { ...size, action, fixedCamera });
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

const clip = join(root, 'clip');
const broken = join(root, 'broken');
for (const [name, content] of Object.entries(madeUpCLIP())) {
  for (const dir of [clip, broken]) {
    mkdirSync(dir, { recursive: true });
    if (dir === clip || name !== 'merges.txt') writeFileSync(join(dir, name), content);
  }
}

test('a goal in words is measured by a CLIP folder: the words stand above the sheet, no picture beside it', async () => {
  const out = join(root, 'words');
  const goalText = [
    '--goal-text',
    'The drawer stands open and the hand has gone',
    '--text-image-model',
    clip,
  ];
  const args = ['rank', '--scene', scene, ...goalText, '--candidates', pull, nothing, '--seeds', '2'];
  const ran = await dwm([...args, ...model, ...small, '--out', out], { env: { DWM_TUNE: 'off' } });
  expect(ran.code, ran.stderr).toBe(0);
  expect(ownLines(ran)).toContainEqual(
    expect.stringMatching(/^warning: the goal text has \d\d tokens, .* the model reads 13$/),
  );
  expect(ran.stdout).toMatch(/^distance to the goal \(1 - cosine \(CLIP\)\), small is good\n1\. /);
  const { ranking, distance, settings } = JSON.parse(readFileSync(join(out, 'ranking.json'), 'utf8'));
  expect(distance).toBe('1 - cosine (CLIP)');
  expect(settings).toMatchObject({ goalText: goalText[1], textImageModel: clip });
  expect(ranking.map(({ name }: { name: string }) => name).sort()).toEqual(['nothing.json', 'pull.json']);
  expect(ranking[0].distance.mean).toBeLessThanOrEqual(ranking[1].distance.mean);
  for (const { distances } of ranking) {
    expect(distances).toHaveLength(2);
    for (const value of distances) expect(Math.abs(value - 1)).toBeLessThan(1);
  }
  const sheet = await readPng(join(out, 'sheet.png'));
  // Two lines of title, and two rows of a label and cells of 180x120.
  expect([sheet.width, sheet.height]).toEqual([2 * 184 + 4, 2 * 22 + 2 * (22 + 120) + 4]);
}, 240_000);

test('wrong input is one line', async () => {
  const words = ['--goal-text', 'the drawer is open'];
  const cases: [string[], RegExp][] = [
    [
      [...words, '--candidates', pull],
      /^error: --goal-text: needs --text-image-model with the folder of a CLIP/,
    ],
    [
      [...words, '--text-image-model', broken, '--candidates', pull],
      /broken: holds no tokenizer\.json or merges\.txt; expected a CLIP model/,
    ],
    [
      ['--goal', goal, '--candidates', pull, join('elsewhere', 'pull.json')],
      /^error: --candidates: .* and elsewhere\/.* have one name, which their clips are called by/,
    ],
    [['--goal', scene, '--candidates', pull], /box\.glb: is no goal/],
    [
      ['--goal', goal, '--candidates', pull, elsewhere],
      /elsewhere\.json has another camera path than .*pull\.json/,
    ],
    [
      ['--goal', goal, '--candidates', pull, '--memory', '1MB'],
      /: \w+ needs \d.* MB at least, but the budget is 1\.0 MB; choose --memory \d+MB where/,
    ],
  ];
  for (const [args, message] of cases) {
    const ran = await dwm(['rank', '--scene', scene, ...args, ...model, ...small, '--out', join(root, 'no')]);
    expect(ran.code).toBe(1);
    expect(ownLines(ran).at(-1)).toMatch(message);
  }
}, 240_000);
