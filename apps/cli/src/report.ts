/**
 * Talking to whoever started the command: people get one line a problem and a progress line that rewrites
 * itself; with `--json` programs get objects, results on standard output and errors on standard error. Nothing
 * leaves here that a terminal would obey, whatever the names of files and devices hold.
 */
import { DwmError } from '@dwm/core-tensor';
import { oneLine, printable, printableJson } from '@dwm/core-tensor/files';
import { fileProblem, isDiskFull } from '@dwm/core-tensor/node';
import { CommanderError } from 'commander';

export interface Reporter {
  readonly json: boolean;
  /** A line for people; nothing with `--json`. */
  say(line: string): void;
  warn(line: string): void;
  /** The command's result: for people as `text` lines, with `--json` as data. */
  result(data: unknown, text: string): void;
  /** The progress line; the last one stays when `finish` is set. Without a terminal, one every ten seconds. */
  progress(line: string, finish?: boolean): void;
}

/** Between progress lines in a log. */
const QUIET_MS = 10_000;

export function createReporter(json: boolean): Reporter {
  const live = process.stderr.isTTY === true;
  let shown = '';
  let lastPrinted = performance.now();
  const clear = () => {
    if (shown && live) process.stderr.write(`\r${' '.repeat(shown.length)}\r`);
    shown = '';
  };
  return {
    json,
    say(line) {
      clear();
      if (!json) process.stderr.write(`${oneLine(line)}\n`);
    },
    warn(line) {
      clear();
      process.stderr.write(json ? `${printableJson({ warning: line })}\n` : `warning: ${oneLine(line)}\n`);
    },
    result(data, text) {
      clear();
      process.stdout.write(`${json ? printableJson(data) : printableLines(text)}\n`);
    },
    progress(line, finish = false) {
      if (json) return;
      if (!live) {
        const due = performance.now() - lastPrinted >= QUIET_MS;
        if (finish || due) {
          process.stderr.write(`${oneLine(line)}\n`);
          lastPrinted = performance.now();
        }
        return;
      }
      const padded = printable(line).slice(0, Math.max(20, (process.stderr.columns || 100) - 1));
      process.stderr.write(`\r${padded.padEnd(shown.length)}`);
      shown = padded;
      if (finish) {
        process.stderr.write('\n');
        shown = '';
      }
    },
  };
}

/** Several lines, each printable; without the last line's end. */
const printableLines = (text: string): string =>
  text.replace(/\n$/, '').split('\n').map(printable).join('\n');

/** What went wrong, as one line or one object, and the exit code: 1, or 130 after Ctrl-C. */
export function reportError(error: unknown, json: boolean): number {
  const aborted = error instanceof Error && error.name === 'AbortError';
  const described = describeError(error);
  const { code, details } = described;
  const message = oneLine(described.message);
  if (json) process.stderr.write(`${printableJson({ error: { code, message, details } })}\n`);
  else {
    // The progress line may still stand there.
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    process.stderr.write(aborted ? `${message}\n` : `error: ${message}\n`);
    const converter = (details as { converter?: unknown } | undefined)?.converter;
    if (typeof converter === 'string') process.stderr.write(`${printableLines(converter)}\n`);
    if (code === 'internal' && error instanceof Error) {
      process.stderr.write(
        `This is a fault of dwm, please report it:\n${printableLines(error.stack ?? message)}\n`,
      );
    }
  }
  return aborted ? 130 : 1;
}

/** What is wrong with the disk or the machine, whatever was done: even an error that names no file says what to do. */
const SPEAKS_FOR_ITSELF = /^(ENOSPC|EDQUOT|EROFS|EMFILE|ENFILE|ENAMETOOLONG|EFBIG|EIO)$/;

function describeError(error: unknown): { code: string; message: string; details?: unknown } {
  if (error instanceof DwmError) return error;
  if (!(error instanceof Error)) return { code: 'internal', message: String(error) };
  if (error.name === 'AbortError') {
    return { code: 'interrupted', message: 'interrupted; finished files are kept, nothing is half written' };
  }
  if (error instanceof CommanderError) {
    const missing = error.code === 'commander.help';
    const message = missing
      ? 'expected one of these commands'
      : error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
    return { code: 'invalid-argument', message: `${message.replace(/\.$/, '')}; see dwm --help` };
  }
  // Files that cannot be made, full disks and the like.
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  if (syscall && code && (path || SPEAKS_FOR_ITSELF.test(code))) {
    const [, system = error.message] = /^\w+: ([^,]*)/.exec(error.message) ?? [];
    const reason = SPEAKS_FOR_ITSELF.test(code) ? fileProblem(error) : `${system} (${syscall})`;
    return {
      code: isDiskFull(error) ? 'disk-full' : 'file-system',
      message: path ? `${path}: ${reason}` : reason,
      details: { file: path, errno: code },
    };
  }
  return { code: 'internal', message: error.message };
}

/** `1:05` or `2:03:20`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** `1.5 GB`: decimal units. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
