/** The `dwm` command line: parses, opens what is needed, runs one command, reports. */
import { Command, CommanderError } from 'commander';
import { addCaption } from './commands/caption.ts';
import { addDataset } from './commands/dataset.ts';
import { addDemo } from './commands/demo.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDownload } from './commands/download.ts';
import { addEncode } from './commands/encode.ts';
import { addEval } from './commands/eval.ts';
import { addGenerate } from './commands/generate.ts';
import { addPlan } from './commands/plan.ts';
import { addPrepare } from './commands/prepare.ts';
import { addRank } from './commands/rank.ts';
import { addRender } from './commands/render.ts';
import { addSynth } from './commands/synth.ts';
import { addTrain } from './commands/train.ts';
import { addTrajectory } from './commands/trajectory.ts';
import { addTune } from './commands/tune.ts';
import { ownNames } from './option-names.ts';
import { reportError } from './report.ts';
import { VERSION } from './version.ts';

const json = process.argv.includes('--json');
const program = new Command('dwm')
  .description('Dexterous World Models on WebGPU: generate what hands do to a scene.')
  .version(VERSION)
  .option('--json', 'results and errors as JSON, for programs')
  .configureOutput({ outputError: () => {} })
  .showHelpAfterError(false)
  .exitOverride();
addGenerate(program);
addRender(program);
addTrajectory(program);
addPrepare(program);
addDemo(program);
addDoctor(program);
addDownload(program);
addEncode(program);
addDataset(program);
addCaption(program);
addTrain(program);
addTune(program);
addSynth(program);
addEval(program);
addRank(program);
addPlan(program);

try {
  if (process.argv.length <= 2) program.outputHelp();
  else await program.parseAsync(ownNames(program, process.argv.slice(2)), { from: 'user' });
  process.exit(process.exitCode ?? 0);
} catch (error) {
  if (error instanceof CommanderError && error.exitCode === 0) process.exit(0);
  process.exit(reportError(error, json));
}
