/** The `dwm` command line: parses, opens what is needed, runs one command, reports. */
import { Command, CommanderError } from 'commander';
import { COMMANDS } from './commands/index.ts';
import { withoutDawnNoise } from './dawn-stderr.ts';
import { namingOption, ownNames } from './option-names.ts';
import { allPrinted, watchPrinted } from './printed.ts';
import { createReporter, reportError } from './report.ts';
import { VERSION } from './version.ts';

watchPrinted();
/** A device is chosen once for the process, however often it is opened. */
const once = <T>(ask: () => Promise<T>): (() => Promise<T>) => {
  let answer: Promise<T> | undefined;
  return () => {
    answer ??= ask();
    return answer;
  };
};

const json = process.argv.includes('--json');
const program = new Command('dwm')
  .description('Dexterous World Models on WebGPU: generate what hands do to a scene.')
  .version(VERSION)
  .option('--json', 'results and errors as JSON, for programs')
  .option('--force-kernels', "uses kernels untried, also those that this driver's self-test found wrong")
  .on('option:force-kernels', () => {
    process.env.DWM_FORCE_KERNELS = '1';
  })
  .option(
    '--device <n>',
    'which of several GPUs, from 0 up (else DWM_DEVICE, else the place on the machine); plans take names too',
  )
  .configureOutput({ outputError: () => {} })
  .showHelpAfterError(false)
  .exitOverride();
// Only the command that was called for is loaded: all of them take a second.
const called = process.argv.slice(2).find((word) => Object.hasOwn(COMMANDS, word));
for (const [name, { does, load }] of Object.entries(COMMANDS)) {
  if (name === called) (await load())(program);
  else program.command(name);
  program.commands.at(-1)!.description(does);
}
if (called) {
  const { adapterRequests } = await import('@dwm/core-tensor/node');
  adapterRequests.around = withoutDawnNoise;
  adapterRequests.choose = once(async () => {
    const { chooseDevice } = await import('./device/choose-device.ts');
    return chooseDevice(program.opts().device, (line) => createReporter(json).say(line));
  });
}

try {
  if (process.argv.length <= 2) program.outputHelp();
  else await program.parseAsync(ownNames(program, process.argv.slice(2)), { from: 'user' });
  await allPrinted();
  process.exit(process.exitCode ?? 0);
} catch (error) {
  // Help and version were asked for.
  const answered = error instanceof CommanderError && error.exitCode === 0;
  const problem = answered
    ? await allPrinted().catch((lost: unknown) => lost)
    : namingOption(program, process.argv.slice(2), error);
  process.exit(problem === undefined ? 0 : reportError(problem, json));
}
