import { mkdir } from 'node:fs/promises';
import { InvalidFileError } from '@dwm/core-tensor';
import { CommanderError } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { clock, createReporter, reportError, size } from './report.ts';

afterEach(() => vi.restoreAllMocks());

function reported(error: unknown, json: boolean): { code: number; text: string } {
  let text = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  const code = reportError(error, json);
  vi.restoreAllMocks();
  return { code, text };
}

test('what a user can act on is one line, or one object', () => {
  const error = new InvalidFileError('a.json', 'x: expected 3', { field: 'x' });
  expect(reported(error, false)).toEqual({ code: 1, text: 'error: a.json: x: expected 3\n' });
  const { text } = reported(error, true);
  expect(JSON.parse(text)).toEqual({
    error: {
      code: 'invalid-file',
      message: 'a.json: x: expected 3',
      details: { file: 'a.json', field: 'x' },
    },
  });
});

test('errors of the file system name the file, not the code that met them', async () => {
  const error = await mkdir('/etc/passwd/x').catch((e) => e);
  expect(reported(error, false)).toEqual({
    code: 1,
    text: 'error: /etc/passwd/x: not a directory (mkdir)\n',
  });
  expect(JSON.parse(reported(error, true).text).error).toMatchObject({ code: 'file-system' });
});

test('a full disk is told as one, even by an error that names no file', () => {
  const error = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    code: 'ENOSPC',
    syscall: 'write',
  });
  const text = 'error: the disk is full; free space and run the same command again\n';
  expect(reported(error, false)).toEqual({ code: 1, text });
  expect(JSON.parse(reported(error, true).text).error.code).toBe('disk-full');
});

test('an unknown flag is one line, suggestion included', () => {
  const error = new CommanderError(1, 'x', "error: unknown option '--fp'\n(Did you mean --fps?)");
  expect(reported(error, false).text).toBe(
    "error: unknown option '--fp' (Did you mean --fps?); see dwm --help\n",
  );
});

test('a command that has commands asks for one of them, below its help', () => {
  const error = new CommanderError(1, 'commander.help', '(outputHelp)');
  expect(reported(error, false)).toEqual({
    code: 1,
    text: 'error: expected one of these commands; see dwm --help\n',
  });
});

test('an interruption exits with 130, our own faults show where they happened', () => {
  const aborted = new DOMException('stop', 'AbortError');
  expect(reported(aborted, false).code).toBe(130);
  expect(JSON.parse(reported(aborted, true).text).error.code).toBe('interrupted');
  const { code, text } = reported(new TypeError('x is not a function'), false);
  expect(code).toBe(1);
  expect(text).toContain('report.test.ts');
});

test('nothing that a terminal obeys is printed, whatever a name holds', () => {
  const name = '\x1b]0;owned\x07\r\x9b2Jgpj.\u202e\ud800\x7f.png';
  const written: string[] = [];
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      written.push(String(chunk));
      return true;
    });
  }
  for (const json of [false, true]) {
    const reporter = createReporter(json);
    reporter.say(name);
    reporter.warn(name);
    reporter.progress(name, true);
    reporter.result({ [name]: name }, `${name}\n${name}`);
    for (const error of [
      new InvalidFileError(name, name, { converter: `pip install x\n${name}` }),
      Object.assign(new Error(`EACCES: ${name}, open`), { code: 'EACCES', syscall: 'open', path: name }),
      new CommanderError(1, 'x', `error: unknown option '${name}'`),
      new TypeError(name),
    ])
      reportError(error, json);
  }
  vi.restoreAllMocks();
  expect(written.length).toBeGreaterThan(12);
  for (const text of written) expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
});

test('clock and size', () => {
  expect([0, 65, 7400].map(clock)).toEqual(['0:00', '1:05', '2:03:20']);
  expect([999, 1500, 2.5e9].map(size)).toEqual(['999 B', '1.5 kB', '2.5 GB']);
});
