import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { beforeAll, expect, test } from 'vitest';
import { readExperiment } from './generate/experiment.ts';
import type { Reporter } from './report.ts';
import { temporaryFolder } from './testing.ts';
import { readTrainingExperiment } from './train/experiment.ts';

const quiet = { say() {}, warn() {} } as unknown as Reporter;
let file: string;
beforeAll(async () => {
  file = join(await temporaryFolder(), 'x.yaml');
});

const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
for (const [name, of] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf', 'hg', 'ih'])
  bomb.push(`${name}: &${name} [${Array(9).fill(`*${of}`).join(', ')}]`);

test.each([
  ['an alias to nothing', 'a: *x\n', 'Unresolved alias'],
  ['an alias bomb', bomb.join('\n'), 'Excessive alias count'],
  ['an alias to what holds it', 'experiment: &e\n  name: *e\n', 'an alias refers to what holds it'],
  ['endless nesting', '['.repeat(100_000), 'nested too deeply'],
  ['endless nesting that ends', '['.repeat(20_000) + ']'.repeat(20_000), 'nested too deeply'],
  ['endless objects', '{a: '.repeat(20_000), 'nested too deeply'],
  ['endless dashes', '- '.repeat(20_000), 'nested too deeply'],
  ['endless question marks', '? '.repeat(20_000), 'nested too deeply'],
  [
    'endless indents',
    Array.from({ length: 400 }, (_, i) => `${' '.repeat(i)}a:\n`).join(''),
    'nested too deeply',
  ],
  ['two documents', 'a: 1\n---\nb: 2\n', 'not valid YAML'],
  ['a key twice', 'a: 1\na: 2\n', 'not valid YAML'],
  ['a tab', 'a:\n\tb: 1\n', 'not valid YAML'],
  ['control characters', 'a: "\x01\x1b[2J\n', 'x.yaml'],
  ['no text', Uint8Array.of(0xff, 0xfe, 0), 'is not text in UTF-8'],
  ['nothing', '', 'x.yaml'],
  ['a word', 'word', 'x.yaml'],
  ['a list', '- 1\n', 'x.yaml'],
  ['too much', ' '.repeat(2 ** 18 + 1), 'expected a YAML file of at most'],
])('%s ends in one line', async (_, text, problem) => {
  await writeFile(file, text);
  for (const read of [readTrainingExperiment, readExperiment]) {
    const error = await read(file, [], quiet).catch((e) => e);
    // What inference does not read it may pass over.
    if (!(error instanceof Error)) continue;
    expect(error).toBeInstanceOf(InvalidFileError);
    expect(error.message).toContain(problem);
    expect(error.message).not.toMatch(/\p{Cc}/u);
  }
  await expect(readTrainingExperiment(file, [], quiet)).rejects.toThrow(InvalidFileError);
});

test.each(['=1', 'a=1', 'a..b=1', 'a.b', 'training.seed=*x', 'training.seed=[', 'training.seed.x=1'])(
  'the override %j is refused',
  async (override) => {
    await writeFile(file, 'training: { seed: 3 }\nmodel: { base_model_name_or_path: x }\n');
    for (const read of [readTrainingExperiment, readExperiment])
      await expect(read(file, [override], quiet)).rejects.toThrow(InvalidArgumentError);
  },
);
