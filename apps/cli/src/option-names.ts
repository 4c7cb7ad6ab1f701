/** One thing has one option in all commands, and each name that a command gives it is taken by every other. */
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import type { Command } from 'commander';

/** Names of the same thing. Where a command has both (the file and the folder of `dwm generate`), each keeps its own. */
const SAME: readonly (readonly string[])[] = [
  ['--out', '--output-dir', '--output-root'],
  ['--frames', '--num-frames', '--target-frames', '--max-num-frames'],
  ['--fps', '--target-fps', '--save-fps'],
  ['--name', '--sample-name'],
  ['--resize', '--resize-policy'],
  ['--static', '--static-video', '--static-video-path'],
  ['--hands', '--hand-video', '--hand-video-path'],
  ['--video', '--video-path'],
  ['--data-root', '--root-dir'],
  ['--limit', '--max-samples'],
  ['--shard-rank', '--rank'],
  ['--num-shards', '--world-size'],
  ['--chunk-id', '--split-id', '--array-index'],
  ['--num-chunks', '--num-splits'],
  ['--lora', '--checkpoint-path'],
  ['--teacache-rel-l1-thresh', '--teacache-threshold', '--rel-l1-thresh'],
  ['--teacache-num-skip-start-steps', '--num-skip-start-steps'],
];

/**
 * `args` with each option under the name that its command has: underscores become dashes, other commands' names the
 * command's own. What nobody knows stays as it is, for the parser to refuse.
 * @param args the words after `dwm`.
 */
export function ownNames(program: Command, args: readonly string[]): string[] {
  let command = program;
  const known = new Set(namesOf(program));
  const own = (name: string): string => {
    const dashed = name.replaceAll('_', '-');
    const same = SAME.find((names) => names.includes(dashed)) ?? [];
    return [name, dashed, ...same].find((candidate) => known.has(candidate)) ?? name;
  };
  const end = args.includes('--') ? args.indexOf('--') : args.length;
  return args.map((arg, i) => {
    if (i >= end) return arg;
    if (!arg.startsWith('--')) {
      const sub = command.commands.find((one) => one.name() === arg);
      if (sub) {
        command = sub;
        for (const name of namesOf(sub)) known.add(name);
      }
      return arg;
    }
    const [, name, value] = /^(--[^=]*)(.*)$/s.exec(arg)!;
    return own(name) + value;
  });
}

/** Settings of the library whose options have other names. */
const SETTINGS: Readonly<Record<string, string>> = {
  outDir: '--out',
  distilled: '--lightx2v-lora-path',
  'distilled.scale': '--lightx2v-lora-scale',
  'distilled.strict': '--lightx2v-compat-strict',
  'teaCache.relL1Thresh': '--teacache-rel-l1-thresh',
  'teaCache.numSkipStartSteps': '--teacache-num-skip-start-steps',
  'teaCache.coefficients': '--teacache-coefficients',
};

/**
 * `error` with options in place of the library's settings, where the command that was called has them: of the field that
 * an InvalidArgumentError names, and of what any message has in backticks (`guidanceScale: 1`, `distilled.strict: false`).
 */
export function namingOption(program: Command, args: readonly string[], error: unknown): unknown {
  if (!(error instanceof DwmError)) return error;
  let command = program;
  for (const arg of args) command = command.commands.find((one) => one.name() === arg) ?? command;
  const known = namesOf(command);
  const optionOf = (setting: string): string | undefined => {
    const dashed = setting.replaceAll('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const name = SETTINGS[setting] ?? `--${dashed}`;
    const same = SAME.find((names) => names.includes(name)) ?? [];
    return [name, ...same].find((candidate) => known.includes(candidate));
  };
  const inOptions = (text: string) =>
    text.replace(/`([a-zA-Z][\w.]*)(?:: ([^`]+))?`/g, (whole, setting: string, value?: string) => {
      if (setting === 'quantize' && value) return `dwm quantize --dtype ${value}`;
      const option = optionOf(setting);
      if (option === undefined) return whole;
      if (value === 'false') return option.replace('--', '--no-');
      return value === undefined ? option : `${option} ${value}`;
    });
  const field = String(error.details.field);
  const option = error instanceof InvalidArgumentError ? optionOf(field) : undefined;
  if (option !== undefined && error.message.startsWith(`${field}: `))
    return new InvalidArgumentError(option, inOptions(error.message.slice(field.length + 2)), {
      ...error.details,
    });
  const message = inOptions(error.message);
  return message === error.message
    ? error
    : new DwmError(error.code, message, error.details, { cause: error });
}

/** Every name of its options; commander calls the first of two long names the short one. */
const namesOf = (command: Command): string[] =>
  command.options.flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined));
