/** Parsers of option values, with errors that name the option and what it takes; options that commands share. */
import { InvalidArgumentError as SettingError } from '@dwm/core-tensor';
import type { GenerateOptions } from '@dwm/dwm-model';
import { parseBytes } from '@dwm/dwm-model/memory';
import { type Command, InvalidArgumentError, Option } from 'commander';

export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} up` : `from ${min} to ${max}`;
      throw new InvalidArgumentError(`expected a whole number ${range}.`);
    }
    return value;
  };
}

export function real(min: number, max = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < min || value > max) {
      throw new InvalidArgumentError(
        max === Number.POSITIVE_INFINITY
          ? `expected a number from ${min} up.`
          : `expected a number from ${min} to ${max}.`,
      );
    }
    return value;
  };
}

/** Whole numbers of the form `step` k + `first`, k from 0 up. */
export function inSteps(first: number, step: number, form: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < first || (value - first) % step !== 0) {
      throw new InvalidArgumentError(`expected ${form}.`);
    }
    return value;
  };
}

export const memoryOption = (): Option =>
  new Option(
    '--memory <bytes>',
    'what the run may take on the device, e.g. 12GB: the fastest way within it is chosen',
  ).argParser(parseBytes);

export const compositeOption = (): Option =>
  new Option(
    '--composite',
    "keep the static video's own pixels where nothing changes; the model's own if left out",
  );
export const noCompositeOption = (): Option =>
  new Option('--no-composite', 'leave every pixel as it is decoded');

/** Flags of steps that calculate less. */
export interface ShortcutFlags {
  teacacheRelL1Thresh?: number;
  teacacheNumSkipStartSteps?: number;
  teacacheCoefficients?: number[];
  firstBlockCacheThreshold?: number;
  cfgSkipRatio?: number;
}

/** @param command whose options they become. */
export const addShortcuts = (command: Command): Command =>
  command
    .option(
      '--teacache-rel-l1-thresh <x>',
      'TeaCache: leave out the blocks of steps until the timesteps have changed so much; 0 is off, 0.1 a beginning',
      real(0),
    )
    .option(
      '--teacache-num-skip-start-steps <n>',
      'TeaCache: calculate the first n steps (default: 5)',
      integer(1, 1000),
    )
    .option(
      '--teacache-coefficients <numbers>',
      "TeaCache: a polynomial, highest power first, with commas (default: the published model's)",
      numbers,
    )
    .option(
      '--first-block-cache-threshold <x>',
      'leave out the blocks of steps whose first block changes less; 0 is off, 0.05 a beginning',
      real(0),
    )
    .option('--cfg-skip-ratio <r>', 'share of the steps, the last ones, without guidance', real(0, 1));

function numbers(text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (!values.every(Number.isFinite))
    throw new InvalidArgumentError('expected numbers with commas between, e.g. 0.4,-0.2,0.1.');
  return values;
}

/** What the flags say to a run. @throws InvalidArgumentError for flags of TeaCache without its threshold. */
export function shortcutsOf(
  flags: ShortcutFlags,
): Pick<GenerateOptions, 'teaCache' | 'firstBlockCache' | 'cfgSkipRatio'> {
  const { teacacheRelL1Thresh: relL1Thresh, teacacheNumSkipStartSteps, teacacheCoefficients } = flags;
  const without = teacacheNumSkipStartSteps !== undefined ? 'num-skip-start-steps' : 'coefficients';
  if (relL1Thresh === undefined && (teacacheNumSkipStartSteps ?? teacacheCoefficients) !== undefined)
    throw new SettingError(`teacache-${without}`, 'needs --teacache-rel-l1-thresh');
  const { firstBlockCacheThreshold: threshold, cfgSkipRatio } = flags;
  return {
    ...(relL1Thresh !== undefined && {
      teaCache: {
        relL1Thresh,
        numSkipStartSteps: teacacheNumSkipStartSteps,
        coefficients: teacacheCoefficients,
      },
    }),
    ...(threshold !== undefined && { firstBlockCache: { threshold } }),
    ...(cfgSkipRatio !== undefined && { cfgSkipRatio }),
  };
}
