/** One thing has one option in all commands, and each name that a command gives it is taken by every other. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { Command } from 'commander';

/** Names of the same thing. Where a command has both (the file and the folder of `dwm generate`), each keeps its own. */
const SAME: readonly (readonly string[])[] = [
  ['--out', '--output-dir', '--output-root'],
  ['--frames', '--num-frames', '--target-frames'],
  ['--fps', '--target-fps', '--save-fps'],
  ['--name', '--sample-name'],
  ['--resize', '--resize-policy'],
  ['--static', '--static-video', '--static-video-path'],
  ['--hands', '--hand-video', '--hand-video-path'],
  ['--video', '--video-path'],
  ['--chunk-id', '--split-id'],
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

/** `error` with the option in place of the argument that it names, where the command that was called has that option. */
export function namingOption(program: Command, args: readonly string[], error: unknown): unknown {
  if (!(error instanceof InvalidArgumentError)) return error;
  const field = String(error.details.field);
  const name = `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  let command = program;
  for (const arg of args) command = command.commands.find((one) => one.name() === arg) ?? command;
  const same = SAME.find((names) => names.includes(name)) ?? [];
  const option = [name, ...same].find((candidate) => namesOf(command).includes(candidate));
  if (option === undefined || !error.message.startsWith(`${field}: `)) return error;
  return new InvalidArgumentError(option, error.message.slice(field.length + 2), { ...error.details });
}

/** Every name of its options; commander calls the first of two long names the short one. */
const namesOf = (command: Command): string[] =>
  command.options.flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined));
