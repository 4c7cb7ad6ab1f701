/** `dwm judge`: how good a world model is in rooms that nobody trained on. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { withOutput, writeFileAtomic } from '@dwm/core-tensor/node';
import { modelFiles } from '@dwm/dwm-model';
import { NotCausalError } from '@dwm/dwm-model/live';
import { hashFile } from '@dwm/dwm-model/node';
import { FIRST_TEST_SEED } from '@dwm/synth';
import { type Command, Option } from 'commander';
import { checkModel, Generator } from '../eval/models.ts';
import { DEFAULT_LIVE_MODEL, DEFAULT_MODEL } from '../generate/default-model.ts';
import { interruptible } from '../interrupt.ts';
import { CAPTIONS, type Captions } from '../judge/captions.ts';
import { JUDGEMENTS } from '../judge/judgements.ts';
import { Setup } from '../judge/setup.ts';
import { SEARCH } from '../plan/search.ts';
import { clipSize } from '../rank/clip-options.ts';
import { createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { integer, memoryOption } from './options.ts';

interface Flags {
  model: string;
  count: number;
  seed: number;
  noise: number;
  oracle?: true;
  captions: Captions;
  numInferenceSteps?: number;
  population?: number;
  rounds?: number;
  memory?: number;
  elite?: number;
  out: string;
}

type Name = keyof typeof JUDGEMENTS;

export function addJudge(program: Command): void {
  const judge = program.command('judge').addHelpText(
    'after',
    `
Example:
  dwm judge direction --captions same --count 24`,
  );
  for (const [name, { count, about }] of Object.entries(JUDGEMENTS)) {
    const command = judge
      .command(name)
      .description(about)
      .option('--model <dir>', 'model folder', name === 'live' ? DEFAULT_LIVE_MODEL : DEFAULT_MODEL)
      .option('--count <n>', name === 'direction' ? 'clips, two a room' : 'rooms', integer(1), count)
      .option('--seed <n>', 'of the first room', integer(0), FIRST_TEST_SEED)
      .option('--noise <n>', 'seed of the noise', integer(0), 42)
      .option('--num-inference-steps <n>', "denoising steps; the model's own if left out", integer(1, 1000))
      .addOption(
        new Option('--captions <which>', "each clip's own, for all of a room the words for pulling, or none")
          .choices(CAPTIONS)
          .default('own'),
      )
      .addOption(memoryOption())
      .option('--out <dir>', 'keeps the result of every room, and verdict.json', 'runs/judge');
    if (name !== 'live')
      command.option('--oracle', 'the simulator answers in place of the model: the ceiling');
    if (name === 'plan') {
      command
        .option('--population <n>', 'paths a round', integer(2), SEARCH.population)
        .option('--rounds <n>', 'rounds', integer(1), SEARCH.rounds)
        .option('--elite <n>', 'paths that the next round is drawn around', integer(1), SEARCH.elite);
    }
    command.action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      await interruptible((signal) => run(name as Name, flags, reporter, signal));
    });
  }
}

/** Every room's result is kept below `out`, by what was asked of which weights: the same command goes on from there. */
async function run(name: Name, flags: Flags, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { count: _, seed, out, ...asked } = flags;
  const model = await checkModel(flags.model, { ...flags, seed: flags.noise });
  if (name === 'live' && !model.shapes.network.causal) throw new NotCausalError(flags.model);
  const files = await modelFiles(model.folder);
  const hashes = await Promise.all(files.map((file) => hashFile(join(model.folder.name, file))));
  const key = createHash('sha256').update(JSON.stringify([asked, hashes]));
  const folder = join(out, `${name}-${key.digest('hex').slice(0, 12)}`);
  const judge = async () => {
    const device = await openTunedDevice(reporter, undefined, flags.memory);
    try {
      const generator = await Generator.load(device, model, clipSize({}, model.settings), reporter, signal);
      const setup = new Setup(device, generator, flags.oracle === true, flags.noise, signal);
      try {
        const from = performance.now();
        const verdict = await JUDGEMENTS[name].run(setup, flags, { folder, seed, signal, reporter });
        const seconds = (performance.now() - from) / 1000;
        const { judged, rejected, data, lines } = verdict;
        const secondsARoom = judged.reduce((sum, room) => sum + room.seconds, 0) / judged.length;
        const lastSeed = judged.at(-1)!.seed;
        const result = { judgement: name, flags, ...data, secondsARoom, lastSeed, rejected, seconds, folder };
        await writeFileAtomic(join(folder, 'verdict.json'), `${JSON.stringify(result, undefined, 1)}\n`);
        reporter.result(
          result,
          [
            flags.oracle ? 'the simulator in place of the model: the ceiling' : generator.name,
            ...lines,
            `rooms: ${judged.length}, of seeds ${seed} to ${lastSeed}, ${rejected} unusable; ${secondsARoom.toFixed(1)} s a room; ${folder}`,
          ].join('\n'),
        );
      } finally {
        setup.destroy();
      }
    } finally {
      device.destroy();
    }
  };
  await withOutput(folder, {}, judge);
}
