import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readPng } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { dwm, ownLines, temporaryFolder } from '../testing.ts';

test('two small clips, their list and sheets; the same command again keeps them', async () => {
  const out = await temporaryFolder();
  try {
    const args = ['--json', 'synth', '--count', '2', '--out', out, '--width', '48', '--height', '32'];
    args.push('--frames', '9', '--actions', 'pull-drawer', '--split', 'test', '--gif-sheet');
    const first = await dwm(args);
    expect(first.code, first.stderr).toBe(0);
    const { clips, kept, list, sheet, gif, actions, rejectionRate } = JSON.parse(first.stdout);
    expect([clips, kept, list]).toEqual([2, 0, join(out, 'dataset.txt')]);
    expect(actions).toEqual({ 'pull-drawer': 2 });
    expect(rejectionRate).toBeGreaterThanOrEqual(0);
    expect(existsSync(gif)).toBe(true);
    expect((await readPng(sheet)).width).toBeGreaterThan(500);
    const again = JSON.parse((await dwm(args)).stdout);
    expect([again.clips, again.kept]).toEqual([2, 2]);
  } finally {
    rmSync(out, { recursive: true });
  }
}, 240_000);

test('wrong options are one line that says what is expected', async () => {
  const cases: [string[], RegExp][] = [
    [['--actions', 'pull'], /^error: --actions: expected some of pull-drawer, .*, got "pull"$/],
    [['--frames', '16'], /^error: option '--frames <n>'.*4 k \+ 1 frames/],
    [['--width', '95'], /^error: option '--width <pixels>'.*an even number of pixels/],
    [['--parts', 'absent'], /^error: absent: no such folder; check the path of --parts$/],
    [['--fixed-camera', '2'], /^error: option '--fixed-camera <share>'.*from 0 to 1/],
    [
      ['--seed', '999999'],
      /^error: --seed: 2 clips from 999999 on pass the last training seed, 999999; start lower$/,
    ],
  ];
  for (const [args, message] of cases) {
    const result = await dwm([
      'synth',
      '--count',
      '2',
      '--out',
      join(await temporaryFolder(), 'data'),
      ...args,
    ]);
    expect(result.code).toBe(1);
    expect(ownLines(result)).toHaveLength(1);
    expect(ownLines(result)[0]).toMatch(message);
  }
}, 240_000);
