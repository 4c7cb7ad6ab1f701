/** `dwm eval`: videos, or what models make, scored against what happened, with what trivial gets beside them. */
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Device, DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { openNodeDevice, withOutput, writeFileAtomic } from '@dwm/core-tensor/node';
import { DEFAULTS, type Lpips, type LpipsNetwork, onceEach } from '@dwm/dwm-model';
import { loadLpips } from '@dwm/dwm-model/node';
import { hasHandWeights } from '@dwm/hands/node';
import { type Command, Option } from 'commander';
import { baselines } from '../eval/baselines.ts';
import { counterfactualTable, modelMethods } from '../eval/counterfactuals.ts';
import { HandPoints } from '../eval/hand-points.ts';
import { hasRoom, idleHands } from '../eval/idle-hands.ts';
import { judge, type Method, type Strip } from '../eval/judge.ts';
import { type CheckedModel, checkModel, Generator, roundTripMethod } from '../eval/models.ts';
import { originalResults, predictionNames } from '../eval/original-results.ts';
import { type ClipFiles, filesOfJob, readEvalClip, type Size, stateOf } from '../eval/read-clips.ts';
import { reportHtml } from '../eval/report-html.ts';
import { actionTables, methodResult, resultsText, table } from '../eval/summary.ts';
import type { EvalClip, MethodResult } from '../eval/types.ts';
import { exists } from '../generate/files.ts';
import { readDatasetList } from '../generate/jobs.ts';
import { captionOf } from '../generate/prompts.ts';
import { interruptible } from '../interrupt.ts';
import { CAPTIONS, type Captions, captionFor } from '../judge/captions.ts';
import { fetchJobs, openDataRoot } from '../remote/data-roots.ts';
import { createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { VERSION } from '../version.ts';
import { type Worker, type WorkerFlags, workerFrom, workerOption } from '../work/claim.ts';
import { contentsOf, contentsOfModel } from '../work/contents.ts';
import { compositeOption, inSteps, integer, memoryOption, noCompositeOption, real } from './options.ts';

interface Flags extends WorkerFlags {
  dataRoot?: string;
  datasetFile?: string;
  pred?: string;
  predVideo?: string;
  truthVideo?: string;
  staticVideo?: string;
  handVideo?: string;
  model: string[];
  ablations?: true;
  limit?: number;
  lpips?: string;
  pck?: boolean;
  out: string;
  promptSubdir: string;
  followLinks?: true;
  promptEmbeds?: string;
  captions: Captions;
  numInferenceSteps?: number;
  guidanceScale?: number;
  composite?: boolean;
  seed: number;
  precision: 'f32' | 'f16';
  numFrames?: number;
  height?: number;
  width?: number;
  memory?: number;
}

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

/** @throws InvalidArgumentError for flags that are missing or contradict each other. */
function checkFlags(flags: Flags): void {
  if (flags.datasetFile) {
    if (!flags.dataRoot) throw new InvalidArgumentError('data-root', 'is required with --dataset-file');
    if (flags.predVideo || flags.truthVideo)
      throw new InvalidArgumentError('pred-video', 'is about one pair; leave it out with --dataset-file');
    if (!flags.pred && flags.model.length === 0)
      throw new InvalidArgumentError('pred', 'is required: a folder of videos to score; or pass --model');
    return;
  }
  if (flags.pred) throw new InvalidArgumentError('dataset-file', 'is required with --pred');
  if (!flags.truthVideo)
    throw new InvalidArgumentError('truth-video', 'is required; or pass --data-root and --dataset-file');
  if (!flags.predVideo && flags.model.length === 0)
    throw new InvalidArgumentError('pred-video', 'is required: the video to score; or pass --model');
}

async function clipsOf(flags: Flags, reporter: Reporter, signal: AbortSignal): Promise<ClipFiles[]> {
  if (!flags.datasetFile) {
    const { truthVideo, staticVideo, handVideo } = flags;
    return [{ name: basename(truthVideo!), index: 0, truth: truthVideo!, staticVideo, handVideo }];
  }
  const opened = await openDataRoot(flags.dataRoot, flags.datasetFile, signal);
  const jobs = await readDatasetList(opened?.list ?? flags.datasetFile, {
    dataRoot: opened?.remote.folder ?? flags.dataRoot!,
    promptSubdir: flags.promptSubdir,
    followLinks: flags.followLinks,
    layout: 'per_sample',
    maxSamples: flags.limit,
  });
  if (opened) await fetchJobs(opened.remote, jobs, reporter);
  // The folder that a clip would have: its stem, or its path where another one has that stem too.
  return Promise.all(jobs.map((job) => filesOfJob({ ...job, name: dirname(job.name) })));
}

/** Whether hands are looked for: on the processor only where that is wanted, as it takes seconds a frame. */
function tracksHands({ pck }: Flags, { caps }: Device, reporter: Reporter): boolean {
  if (pck === undefined && caps.adapter.kind === 'software') {
    reporter.say('hand PCK is left out without a GPU, as it takes seconds a frame; --pck has it');
    return false;
  }
  if (hasHandWeights()) return true;
  reporter.say(
    'hand PCK is left out: the hand tracker has no weights (npm install @svenflow/micro-handpose@0.3.0); --no-pck says nothing of it',
  );
  return false;
}

/** The scored video of each clip, by the clip's name. */
async function findPredictions(flags: Flags, clips: readonly ClipFiles[]): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const clip of clips) {
    const { name } = clip;
    const paths = flags.predVideo
      ? [flags.predVideo]
      : predictionNames(clip.line ?? clip.truth, name).map((file) => join(flags.pred!, file));
    let path: string | undefined;
    for (const candidate of paths) if (path === undefined && (await exists(candidate))) path = candidate;
    if (path === undefined) {
      const [wanted, flag] = flags.predVideo
        ? [flags.predVideo, '--pred-video']
        : [join(flags.pred!, `${name}.mp4`), '--pred'];
      throw new DwmError(
        'missing-file',
        `${wanted}: no such file; expected the video of ${name}, or a folder of its frames (${flag})`,
        {
          file: paths[0],
          looked: paths,
        },
      );
    }
    files.set(name, path);
  }
  return files;
}

function predictionsMethod(
  flags: Flags,
  files: ReadonlyMap<string, string>,
  size: Size,
  warn: (line: string) => void,
): Method {
  return {
    name: basename(flags.predVideo ?? flags.pred!),
    kind: 'predictions',
    make: async ({ name }) => {
      const path = files.get(name)!;
      const read = await readEvalClip({ name, index: 0, truth: path }, size, warn);
      return { name: path, clip: read.truth };
    },
  };
}

/**
 * `results.txt`: the first method's numbers in the original's form.
 * @param predictions files of the clips, where the first method is those.
 */
function originalText(
  files: readonly ClipFiles[],
  { clips }: MethodResult,
  predictions: ReadonlyMap<string, string> | undefined,
): string {
  const byName = new Map(files.map((file) => [file.name, file]));
  return originalResults(
    clips.flatMap(({ clip, psnr, ssim, lpipsVgg: lpips }) => {
      const file = byName.get(clip);
      const prediction = basename(predictions?.get(clip) ?? `${clip}.mp4`);
      return file ? [{ truth: file.line ?? file.truth, prediction, psnr, ssim, lpips }] : [];
    }),
  );
}

/** All that the scores depend on. */
async function contentsOfAll(
  { lpips, promptEmbeds }: Flags,
  clips: readonly ClipFiles[],
  predictions: ReadonlyMap<string, string> | undefined,
  models: readonly CheckedModel[],
): Promise<string[]> {
  const videos = clips.flatMap(({ name, truth, staticVideo, handVideo, promptFile }) => [
    ...[truth, staticVideo, handVideo, promptFile, predictions?.get(name)],
  ]);
  const found = await contentsOf([lpips, promptEmbeds, ...videos]);
  for (const { folder } of models) found.push(...(await contentsOfModel(folder)));
  return found;
}

async function evaluate(
  flags: Flags,
  worker: Worker | undefined,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  checkFlags(flags);
  const files = await clipsOf(flags, reporter, signal);
  const size: Size = { frames: flags.numFrames, height: flags.height, width: flags.width };
  // Every method reads the clips anew.
  const warn = onceEach((line) => reporter.say(line));
  const predictions = flags.pred || flags.predVideo ? await findPredictions(flags, files) : undefined;

  const models: CheckedModel[] = [];
  for (const path of flags.model) models.push(await checkModel(path, flags));
  // Clips of a list have one size.
  const planned = models.length > 0 ? (await readEvalClip(files[0], size, warn)).truth : undefined;

  const results: MethodResult[] = [];
  let strips: Strip[] | undefined;
  let device: Device | undefined;
  if (models.length > 0) device = await openTunedDevice(reporter, undefined, flags.memory);
  const mayTrack = flags.pck !== false && files.some(({ handVideo }) => handVideo !== undefined);
  if (!device && (flags.lpips !== undefined || mayTrack)) device = await openNodeDevice();
  const pck = mayTrack && tracksHands(flags, device!, reporter);
  const lpips: ReadonlyMap<LpipsNetwork, Lpips> =
    flags.lpips !== undefined ? await loadLpips(device!, flags.lpips) : new Map();
  const networks = { lpips, hands: pck ? await HandPoints.load(device!) : undefined };

  async function* read(which: readonly ClipFiles[] = files): AsyncGenerator<EvalClip> {
    for (const file of which) {
      signal.throwIfAborted();
      yield await readEvalClip(file, size, warn);
    }
  }
  const { worker: _, out: __, ...asked } = flags;
  const settings = worker && [{ ...asked, pck }, await contentsOfAll(flags, files, predictions, models)];
  const score = async (method: Method) => {
    const since = performance.now();
    if (worker) {
      const parts = await worker.parts(
        files.map(({ name }) => `${method.name} (${results.length}): ${name}`),
        settings,
        signal,
        (index) => judge(method, read([files[index]]), networks, () => {}),
      );
      const clips = parts.flatMap(({ result }) => result.clips);
      results.push(methodResult(method.name, method.kind, clips));
      strips ??= parts.flatMap((part) => part.strips);
      return;
    }
    const judged = await judge(method, read(), networks, (done) =>
      reporter.progress(`${method.name}: clip ${done} of ${files.length}`, done === files.length),
    );
    results.push(judged.result);
    strips ??= judged.strips;
    seconds[method.name] = Math.round((performance.now() - since) / 100) / 10;
  };
  const seconds: Record<string, number> = {};
  const sampling: Record<string, Generator['sampling']> = {};
  const withHands = files.filter(({ handVideo }) => handVideo !== undefined);
  const otherHands =
    withHands.length < 2
      ? undefined
      : async ({ index, truth }: EvalClip) => {
          const next = files[(index + 1) % files.length].handVideo ?? withHands[0].handVideo!;
          const { truth: hands } = await readEvalClip(
            { name: '', index, truth: next },
            {
              frames: truth.frames,
              height: truth.height,
              width: truth.width,
            },
            warn,
          );
          return hands;
        };
  /** The next caption of the list that says something else. */
  const wrongCaption = async (index: number) => {
    const own = await captionOf(files[index]);
    for (let k = 1; k < files.length; k++) {
      const other = await captionOf(files[(index + k) % files.length]);
      if (other !== own) return other;
    }
    return undefined;
  };

  try {
    if (predictions) await score(predictionsMethod(flags, predictions, size, warn));
    let roundTrip: MethodResult | undefined;
    for (const model of models) {
      const generator = await Generator.load(device!, model, planned!, reporter, signal);
      sampling[model.path] = generator.sampling;
      try {
        const { embeds } = generator;
        const promptOf = async ({ index }: EvalClip) =>
          embeds ?? captionFor(flags.captions, await captionOf(files[index]), VAGUE);
        const varied = flags.ablations && !embeds && flags.captions === 'own';
        const differ = varied && (await wrongCaption(0)) !== undefined;
        const states = await Promise.all(files.map(({ truth }) => stateOf(truth)));
        const counterfactuals = {
          hands: {
            ...(states.every(hasRoom) && {
              'touching nothing': (clip: EvalClip) => idleHands(device!, clip),
            }),
            ...(otherHands && { 'shuffled hands': otherHands }),
          },
          words: {
            ...(differ && { 'wrong caption': async ({ index }: EvalClip) => (await wrongCaption(index))! }),
            ...(varied && { 'no caption': async () => '' }),
          },
        };
        for (const method of modelMethods(generator, flags.ablations === true, promptOf, counterfactuals))
          await score(method);
        if (!roundTrip) {
          await score(roundTripMethod(generator));
          roundTrip = results.pop();
        }
      } finally {
        generator.pipeline.destroy();
      }
    }
    const every = (of: (file: ClipFiles) => unknown) => files.every((file) => of(file) !== undefined);
    const given = { staticVideo: every((f) => f.staticVideo), handVideo: every((f) => f.handVideo) };
    for (const method of baselines(given)) await score(method);
    if (roundTrip) results.push(roundTrip);
    else reporter.say('no --model, so no VAE round trip beside the result');
  } finally {
    for (const model of lpips.values()) model.destroy();
    networks.hands?.destroy();
  }
  const evaluation = {
    settings: {
      ...flags,
      clips: files.length,
      sampling,
      adapter: device?.caps.adapter,
      secondsByMethod: seconds,
      date: new Date().toISOString(),
      version: VERSION,
      workingDirectory: process.cwd(),
      command: process.argv.slice(2),
    },
    methods: results,
  };
  device?.destroy();
  await mkdir(flags.out, { recursive: true });
  const paths = {
    json: join(flags.out, 'results.json'),
    text: join(flags.out, 'results.txt'),
    methods: join(flags.out, 'methods.txt'),
    report: join(flags.out, 'report.html'),
  };
  const write = async () => {
    await writeFileAtomic(paths.report, await reportHtml(evaluation, strips!));
    await writeFileAtomic(paths.methods, resultsText(evaluation));
    await writeFileAtomic(paths.text, originalText(files, results[0], predictions));
    await writeFileAtomic(paths.json, `${JSON.stringify(evaluation, undefined, 1)}\n`);
  };
  const names = Object.values(paths).map((path) => basename(path));
  if (worker) await worker.parts(['the report'], settings, signal, write, names);
  else await write();
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
