/** `dwm eval`: videos, or what models make, scored against what happened, with what trivial gets beside them. */
import { withOutput } from '@dwm/core-tensor/node';
import { DEFAULTS, onceEach } from '@dwm/dwm-model';
import { type Command, Option } from 'commander';
import { askedClips } from '../eval/asked-clips.ts';
import { baselines } from '../eval/baselines.ts';
import { counterfactualTable, modelMethods } from '../eval/counterfactuals.ts';
import { checkFlags, type Flags } from '../eval/flags.ts';
import type { Method, Strip } from '../eval/judge.ts';
import { type CheckedModel, checkModel, Generator, roundTripMethod } from '../eval/models.ts';
import { closeNetworks, openNetworks } from '../eval/networks.ts';
import { findPredictions, predictionsMethod } from '../eval/predictions.ts';
import { type ClipFiles, evalSize, type Size } from '../eval/read-clips.ts';
import { contentsOfAll, scoreMethod } from '../eval/score.ts';
import { substitutesOf } from '../eval/substitutes.ts';
import { actionTables, table } from '../eval/summary.ts';
import type { EvalClip, MethodResult } from '../eval/types.ts';
import { writeResults } from '../eval/write-results.ts';
import { captionOf } from '../generate/prompts.ts';
import { interruptible } from '../interrupt.ts';
import { CAPTIONS, captionFor } from '../judge/captions.ts';
import { createReporter, type Reporter } from '../report.ts';
import { VERSION } from '../version.ts';
import { type Worker, workerFrom, workerOption } from '../work/claim.ts';
import { compositeOption, inSteps, integer, memoryOption, noCompositeOption, real } from './options.ts';

/** One caption for all clips, which says nothing. */
const VAGUE = 'The hand acts in the room.';

export function addEval(program: Command): void {
  program
    .command('eval')
    .optionsGroup('A list of clips:')
    .option('--data-root <dir>', 'folder, or https:// or s3:// address, that the list is relative to')
    .option('--dataset-file <file>', 'list of <sample>/videos/<stem>.mp4, one a line')
    .option('--limit <n>', 'only the first n clips', integer(1))
    .option(
      '--pred <dir>',
      'videos to score: <stem>.mp4, as dwm generate --output-dir writes them, or folders of frames <stem>/',
    )
    .option('--follow-links', 'let links of the data root lead out of it')
    .optionsGroup('One pair:')
    .option('--pred-video <file>', 'the video to score')
    .option('--truth-video <file>', 'what happened')
    .option('--static-video <file>', 'the static scene: splits changed from unchanged')
    .option('--hand-video <file>', 'the hand render: measures whether the hand is where it should be')
    .optionsGroup('Models:')
    .option(
      '--model <dir>',
      'generate the clips with this model and score them; may be given again',
      (dir: string, before: string[]) => [...before, dir],
      [],
    )
    .option('--ablations', 'each model also with other hands and other captions, and with no static')
    .option('--num-inference-steps <n>', "denoising steps; the model's own if left out", integer(1, 1000))
    .option('--guidance-scale <g>', 'classifier-free guidance, off at 1; likewise', real(0))
    .addOption(compositeOption())
    .addOption(noCompositeOption())
    .option('--seed <n>', 'the place of the clip is added (Wan: all the same)', integer(0), DEFAULTS.seed)
    .option('--prompt-subdir <name>', 'folder of captions beside videos/', 'prompts_rewrite')
    .option('--prompt-embeds <file>', 'safetensors with embeddings, in place of captions')
    .addOption(
      new Option('--captions <which>', `each clip's own; for all of them "${VAGUE}"; or none`)
        .choices(CAPTIONS)
        .default('own'),
    )
    .addOption(
      new Option('--precision <type>', 'multiply in this type').choices(['f32', 'f16']).default('f32'),
    )
    .option('--num-frames <n>', 'bring clips to this length', inSteps(1, 4, '4k + 1 frames'))
    .option('--height <pixels>', 'and this size; else their own', inSteps(16, 16, 'a multiple of 16'))
    .option('--width <pixels>', 'as height', inSteps(16, 16, 'a multiple of 16'))
    .addOption(memoryOption())
    .optionsGroup('Results:')
    .option('--lpips <dir>', 'folder with published LPIPS weights; see docs/evaluation.md')
    .option('--pck', 'look for hands in the videos; on a GPU this is done anyway')
    .option('--no-pck', 'do not look for hands in the videos, which takes a network run or two a frame')
    .option('--out <dir>', 'folder for results.json, results.txt and report.html', 'dwm-eval')
    .addOption(workerOption())
    .addHelpText(
      'after',
      `
Examples:
  dwm eval --data-root data --dataset-file data/test.txt --pred out --out eval
  dwm eval --data-root data --dataset-file data/test.txt --model dwm --model other --ablations
  dwm eval --pred-video out.mp4 --truth-video t.mp4 --static-video s.mp4 --hand-video h.mp4`,
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      const worker = workerFrom(flags, flags.out, 'eval', reporter);
      await interruptible((signal) => {
        const work = () => evaluate(flags, worker, reporter, signal);
        return worker ? worker.beside(work) : withOutput(flags.out, {}, work);
      });
    });
}

async function evaluate(
  flags: Flags,
  worker: Worker | undefined,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  checkFlags(flags);
  const files = await askedClips(flags, reporter, signal);
  const size: Size = { frames: flags.numFrames, height: flags.height, width: flags.width };
  // Every method reads the clips anew.
  const warn = onceEach((line) => reporter.say(line));
  const predictions = flags.pred || flags.predVideo ? await findPredictions(flags, files) : undefined;

  const models: CheckedModel[] = [];
  for (const path of flags.model) models.push(await checkModel(path, flags));
  // Clips of a list have one size.
  const planned = models.length > 0 ? await evalSize(files[0].truth, size) : undefined;

  const { device, networks } = await openNetworks(flags, files, reporter);
  const { worker: _, out, ...asked } = flags;
  const pck = networks.hands !== undefined;
  const settings = worker && [{ ...asked, pck }, await contentsOfAll(flags, files, predictions, models)];
  const scoring = { files, size, networks, worker, settings, warn, reporter, signal };
  const results: MethodResult[] = [];
  let strips: readonly Strip[] | undefined;
  const secondsByMethod: Record<string, number> = {};
  const score = async (method: Method): Promise<MethodResult> => {
    const scored = await scoreMethod(method, results.length, scoring);
    strips ??= scored.strips;
    if (scored.seconds !== undefined) secondsByMethod[method.name] = scored.seconds;
    return scored.result;
  };
  const sampling: Record<string, Generator['sampling']> = {};
  try {
    if (predictions) results.push(await score(predictionsMethod(flags, predictions, size, warn)));
    let roundTrip: MethodResult | undefined;
    const words = !flags.promptEmbeds && flags.captions === 'own';
    const substitutes = flags.ablations ? await substitutesOf(files, words, device!, warn) : undefined;
    for (const model of models) {
      const generator = await Generator.load(device!, model, planned!, reporter, signal);
      sampling[model.path] = generator.sampling;
      try {
        const { embeds } = generator;
        const promptOf = async ({ index }: EvalClip) =>
          embeds ?? captionFor(flags.captions, await captionOf(files[index]), VAGUE);
        for (const method of modelMethods(generator, promptOf, substitutes))
          results.push(await score(method));
        roundTrip ??= await score(roundTripMethod(generator));
      } finally {
        generator.pipeline.destroy();
      }
    }
    const every = (of: (file: ClipFiles) => unknown) => files.every((file) => of(file) !== undefined);
    const given = { staticVideo: every((f) => f.staticVideo), handVideo: every((f) => f.handVideo) };
    for (const method of baselines(given)) results.push(await score(method));
    if (roundTrip) results.push(roundTrip);
    else reporter.say('no --model, so no VAE round trip beside the result');
  } finally {
    closeNetworks(networks);
  }
  const evaluation = {
    settings: {
      ...flags,
      clips: files.length,
      sampling,
      adapter: device?.caps.adapter,
      secondsByMethod,
      date: new Date().toISOString(),
      version: VERSION,
      workingDirectory: process.cwd(),
      command: process.argv.slice(2),
    },
    methods: results,
  };
  device?.destroy();
  const paths = await writeResults(out, evaluation, strips!, predictions, scoring);
  const summary = results.map(({ name, kind, summary: means }) => ({ name, kind, summary: means }));
  const actions = actionTables(results.filter(({ kind }) => kind !== 'ablation'));
  const counterfactuals = counterfactualTable(results);
  reporter.result(
    { ...paths, methods: summary },
    [
      `${files.length} clip${files.length === 1 ? '' : 's'}: mean ±half of the 95% interval`,
      table(results),
      ...(counterfactuals ? ['', counterfactuals] : []),
      ...(actions ? ['', actions] : []),
      '',
      ...Object.values(paths),
    ].join('\n'),
  );
}
