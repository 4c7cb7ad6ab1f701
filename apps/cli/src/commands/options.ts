/** Parsers of option values, with errors that name the option and what it takes; options that commands share. */
import { InvalidArgumentError, Option } from 'commander';

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
  );

export const compositeOption = (): Option =>
  new Option(
    '--composite',
    "keep the static video's own pixels where nothing changes; the model's own if left out",
  );
export const noCompositeOption = (): Option =>
  new Option('--no-composite', 'leave every pixel as it is decoded');
