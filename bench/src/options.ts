/** The command line. */
import { parseArgs } from 'node:util';
import { SUITES } from './suites/index.ts';

export interface Options {
  readonly suites: readonly string[];
  readonly quick: boolean;
  readonly only: RegExp;
  readonly seed: number;
  /** File for the rows as JSON. */
  readonly json: string | undefined;
}

export class UsageError extends Error {}

const names = SUITES.map(({ name }) => name);

const USAGE = `npm run bench -- [--suite ${[...names, 'all'].join('|')}] [--quick] [--only REGEX] [--seed N] [--json FILE]`;

/** @throws UsageError naming the flag. */
export function readOptions(args: readonly string[]): Options {
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse(args));
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('\n')[0]}\nusage: ${USAGE}`);
  }
  const { suite, quick, json } = values;
  if (suite !== 'all' && !names.includes(suite))
    throw new UsageError(`--suite: expected one of ${[...names, 'all'].join(', ')}, got "${suite}"`);
  const seed = Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0)
    throw new UsageError(`--seed: expected a whole number from 0 on, got "${values.seed}"`);
  let only: RegExp;
  try {
    only = new RegExp(values.only);
  } catch (error) {
    throw new UsageError(`--only: ${(error as Error).message}`);
  }
  return { suites: suite === 'all' ? names : [suite], quick, only, seed, json };
}

const parse = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    options: {
      suite: { type: 'string', default: 'kernels' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      seed: { type: 'string', default: '1' },
      json: { type: 'string' },
    },
  });
