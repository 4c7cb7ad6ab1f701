/** `dwm generate`: conditioning videos and a prompt in, interaction videos out; one clip or a whole list. */
import { rm } from 'node:fs/promises';
import { basename, dirname, extname, join, relative } from 'node:path';
import { beforeUse, type Device, InvalidArgumentError } from '@dwm/core-tensor';
import { checkOutput, openPath, withOutput } from '@dwm/core-tensor/node';
import {
  checkCache,
  checkPipelineType,
  clipReport,
  DEFAULTS,
  type DwmPipeline,
  type GenerateOptions,
  handCoverage,
  handWarning,
  knowsOnly,
  loraBytes,
  loraRemarks,
  type Mask,
  type ModelFamily,
  PLAN_DEVICES,
  planRun,
  type RunSettings,
  UndecodedError,
} from '@dwm/dwm-model';
import { pixelRemark } from '@dwm/media/node';
import { type Command, Option } from 'commander';
import { ABLATIONS, type Ablation, ablateVideos, shuffleHands } from '../generate/ablate.ts';
import {
  checkJobFiles,
  checkText,
  givenLora,
  type LoraFlag,
  loraRecord,
  openFineTuned,
  withTransformer,
} from '../generate/check.ts';
import { chooseModel, DEFAULT_MODEL, familyOfModel } from '../generate/default-model.ts';
import { type Experiment, findExperiment, readExperiment } from '../generate/experiment.ts';
import { exists, isFile } from '../generate/files.ts';
import {
  type ClipVideos,
  type ReadVideos,
  readDraws,
  readLatents,
  readNamedPrompt,
  readPrompt,
  readPromptEmbeds,
  readVideos,
  type TextEmbeds,
} from '../generate/inputs.ts';
import {
  belowRoot,
  chunkBounds,
  type Job,
  jobOfVideo,
  readDatasetList,
  type Share,
  shareFrom,
  shareOf,
  WHOLE,
} from '../generate/jobs.ts';
import {
  metadataPath,
  outputPaths,
  recordRun,
  saveLatents,
  saveTensors,
  shareName,
  writeClip,
} from '../generate/outputs.ts';
import { generationProgress } from '../generate/progress.ts';
import { readVariants } from '../generate/variants.ts';
import { modelFolder } from '../hub-folder.ts';
import { interruptible } from '../interrupt.ts';
import { needsOf, openPipeline, type PlannedModel } from '../memory/open-pipeline.ts';
import { planTable } from '../memory/table.ts';
import { planTarget } from '../memory/target.ts';
import { fetchJobs, openDataRoot } from '../remote/data-roots.ts';
import type { RemoteRoot } from '../remote/remote-root.ts';
import { drawVideos, readClipFiles } from '../render/clips.ts';
import {
  type DrawFlags,
  fitOption,
  handGlbOption,
  ignoreDistortionOption,
  manoOption,
  sceneScaleOption,
  sceneUpOption,
} from '../render/options.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { VERSION } from '../version.ts';
import { type Worker, type WorkerFlags, workerFrom, workerOption } from '../work/claim.ts';
import {
  addShortcuts,
  compositeOption,
  inSteps,
  integer,
  memoryOption,
  noCompositeOption,
  real,
  type ShortcutFlags,
  shortcutsOf,
} from './options.ts';

/** Flags as commander gives them; settings that are left out are the model's. */
interface Given extends Partial<RunSettings>, DrawFlags, WorkerFlags, ShortcutFlags {
  model?: string;
  /** Each time that it is given. */
  checkpointPath?: string[];
  experimentConfig?: string;
  override?: string[];
  staticVideo?: string;
  handVideo?: string;
  scene?: string[];
  trajectory?: string;
  video?: string;
  prompt?: string;
  promptFile?: string;
  promptEmbeds?: string;
  negativePrompt?: string;
  useEmptyPrompts?: true;
  promptPrefix?: string;
  out?: string;
  outputDir?: string;
  suffix?: string;
  dataRoot?: string;
  datasetFile?: string;
  variantManifestJson?: string;
  promptSubdir?: string;
  staticSubdir?: string;
  handSubdir?: string;
  followLinks?: true;
  datasetOutputLayout: 'flat' | 'per_sample';
  maxSamples?: number;
  shuffleDataset?: boolean;
  shuffleSeed?: number;
  skipExisting?: true;
  chunkId?: number;
  numChunks?: number;
  shardRank?: number;
  numShards?: number;
  dynamicGuidance?: true;
  seed: number;
  strength: number;
  latents?: string;
  saveTensors?: string;
  precision: 'f32' | 'f16';
  tiling?: boolean;
  ablate?: Ablation;
  modelFps?: number;
  lightx2vLoraPath?: string;
  lightx2vLoraScale?: number;
  lightx2vCompatMode?: 'auto' | 'force_compat' | 'off';
  lightx2vCompatStrict?: boolean;
  memory?: number;
  dryRun?: true;
  device?: string;
  resume?: true;
}

/** Flags with what the experiment file says where they say nothing. */
type Asked = Given & {
  readonly loras: readonly LoraFlag[];
  readonly promptSubdir: string;
  /** Where the data root is one over the network. */
  readonly remote?: RemoteRoot;
  /** The type of the model, where it knows no hands. */
  readonly withoutHands?: string;
  /** Only the first frame of the static video is seen. */
  readonly firstFrameOnly: boolean;
};

type Flags = Asked & RunSettings & { readonly negativePrompt: string; readonly tiling: boolean };

/** @param defaultModel what runs without `--model`. */
export function addGenerate(program: Command, defaultModel = DEFAULT_MODEL): void {
  const command = program
    .command('generate')
    .optionsGroup('Model:')
    .option(
      '--model <dir>',
      'folder of a model, CogVideoX or Wan 2.1: its files tell which; else models/dwm-tiny',
    )
    .option(
      '--lora, --checkpoint-path <dir[:weight]>',
      'folder of fine-tuned DWM weights, or a LoRA file; again for more LoRAs',
      (value: string, before: string[] = []) => [...before, value],
    )
    .option(
      '--experiment-config <yaml>',
      "the original's experiment file: base model, data root, size, folders; else the one beside the checkpoint",
    )
    .option('--override <key=value...>', 'change a value of the experiment file, e.g. data.data_root=/data')
    .addOption(
      new Option('--precision <type>', 'multiply in this type').choices(['f32', 'f16']).default('f32'),
    )
    .addOption(memoryOption())
    .option('--resume', 'decode latents that a failed run kept, in smaller tiles')
    .option(
      '--dry-run',
      `check everything, say what the run takes on the device, and end; --device may be ${PLAN_DEVICES.join(', ')}`,
    )
    .option('--lightx2v-lora-path <file>', 'Wan: a LoRA for 4 steps, .safetensors, merged after the other')
    .option('--lightx2v-lora-scale <s>', 'how much it counts (default: 1)', real(-100, 100))
    .addOption(
      new Option('--lightx2v-compat-mode <mode>', "the original's ways to load it").choices([
        'auto',
        'force_compat',
        'off',
      ]),
    )
    .option('--lightx2v-compat-strict', 'refuse one that does not cover the network (default)')
    .option('--no-lightx2v-compat-strict', 'merge what fits')
    .optionsGroup('One clip:')
    .option('--static, --static-video <file>', 'static scene: a video, or a folder of frames')
    .option('--hands, --hand-video <file>', 'hands on black: a video, or a folder of frames')
    .option(
      '--scene <files...>',
      'in place of the videos: draw this scene (.glb, .gltf, .ply, .splat, .spz, .sog) …',
    )
    .option('--trajectory <file>', '… and the hands along this camera path; see dwm trajectory')
    .addOption(fitOption())
    .addOption(sceneUpOption())
    .addOption(sceneScaleOption())
    .addOption(ignoreDistortionOption())
    .addOption(manoOption())
    .addOption(handGlbOption())
    .option('--video <file>', '<sample>/videos/<stem>.mp4; finds the static, hand and prompt files beside it')
    .option('--prompt <text>', 'what happens; with --trajectory, <trajectory>.txt or nothing if left out')
    .option('--prompt-file <file>', 'text file that holds the prompt')
    .option(
      '--prompt-embeds <file>',
      'safetensors with prompt_embeds and negative_prompt_embeds, in place of a prompt',
    )
    .option('--negative-prompt <text>', "what should not happen (default: none; Wan: 'bad detailed')")
    .option('--use-empty-prompts', 'no prompt at all')
    .option('--prompt-prefix <text>', 'words before every prompt and caption')
    .option('--out <file>', 'the video to write, .mp4')
    .optionsGroup('Many clips:')
    .option(
      '--data-root <dir>',
      'folder, or https:// or s3:// address, that the list, its clips and --video are relative to',
    )
    .option('--dataset-file <file>', 'list of <sample>/videos/<stem>.mp4, one a line')
    .option(
      '--variant-manifest-json <file>',
      'one scene with several hands: {mode: "hand_video", shared: {video_path, …}, variants: [{label, hand_video_path}]}',
    )
    .option('--output-dir <dir>', 'folder to write to (default: inference/ in the checkpoint)')
    .option('--suffix <text>', 'end of the names of the output files')
    .option('--prompt-subdir <name>', 'folder of captions beside videos/ (default: prompts_rewrite)')
    .option('--follow-links', 'let links of the data root lead out of it')
    .addOption(
      new Option('--dataset-output-layout <layout>', 'all clips in one folder, or a folder each')
        .choices(['flat', 'per_sample'])
        .default('flat'),
    )
    .option('--max-samples <n>', 'only the first n clips', integer(1))
    .option('--shuffle-dataset', "the list in NumPy's random order, before --max-samples and shares")
    .option('--no-shuffle-dataset', 'as it is (default)')
    .option('--shuffle-seed <n>', 'of that order (default: --seed)', integer(0))
    .option('--skip-existing', 'leave clips alone whose video is there already')
    .option('--shard-rank <r>', 'this process of --num-shards (else RANK or LOCAL_RANK)', integer(0))
    .option('--num-shards <n>', 'deal the clips out to n processes (else WORLD_SIZE)', integer(1))
    .option('--chunk-id <c>', 'this run of --num-chunks (else SLURM_ARRAY_TASK_ID)', integer(0))
    .option('--num-chunks <n>', 'cut the list into n runs (else SLURM_ARRAY_TASK_COUNT)', integer(1))
    .addOption(workerOption())
    .optionsGroup('Sampling:')
    .option(
      '--num-inference-steps <n>',
      `denoising steps ${orElse(DEFAULTS.numInferenceSteps)}`,
      integer(1, 1000),
    )
    .option(
      '--guidance-scale <g>',
      `classifier-free guidance; off at 1 ${orElse(DEFAULTS.guidanceScale)}`,
      real(0),
    )
    .option('--dynamic-guidance', 'let guidance rise over the steps')
    .addOption(compositeOption())
    .addOption(noCompositeOption())
    .option(
      '--num-frames <n>',
      `4k + 1; exactly so many come out for 8k + 1 ${orElse(DEFAULTS.numFrames)}`,
      inSteps(1, 4, '4k + 1 frames: 1, 5, 9, … 49'),
    )
    .option(
      '--height <pixels>',
      `multiple of 16 ${orElse(DEFAULTS.height)}`,
      inSteps(16, 16, 'a multiple of 16'),
    )
    .option(
      '--width <pixels>',
      `multiple of 16 ${orElse(DEFAULTS.width)}`,
      inSteps(16, 16, 'a multiple of 16'),
    )
    .option(
      '--fps <n>',
      `frames a second, of the output and of what is taken from longer videos ${orElse(8)}`,
      real(1, 240),
    )
    .option('--model-fps <n>', 'Wan: rate that the frame positions stand for (default: 16)', real(1, 240))
    .option(
      '--seed <n>',
      'a list adds the place of the clip (Wan: all the same, and 0 is one of chance)',
      integer(0),
      DEFAULTS.seed,
    )
    .option(
      '--strength <s>',
      'below 1: start from the noised static video',
      real(0.001, 1),
      DEFAULTS.strength,
    )
    .option('--latents <file>', 'safetensors with the initial noise, latents [1, F, 16, h, w]')
    .option('--save-tensors <file>', 'also write the exact pixels and latents as safetensors')
    .addOption(
      new Option(
        '--ablate <what>',
        'no-hands: black; no-static: its first frame only; shuffled-hands: those of another clip of the list',
      ).choices(ABLATIONS),
    )
    .option('--tiling', 'encode and decode in tiles: less memory')
    .option(
      '--no-tiling',
      'whole frames: more memory, no seams (default: as the experiment file says, else tiles)',
    )
    .optionsGroup('Faster:');
  addShortcuts(command)
    .addHelpText(
      'after',
      `
Examples:
  dwm generate --static s.mp4 --hands h.mp4 --prompt "The right hand pulls the drawer open." --out out.mp4
  dwm generate --model base --lora dwm --static s.mp4 --hands h.mp4 --prompt "A hand opens the drawer." --out out.mp4
  dwm generate --model base --lora dwm --scene room.glb --trajectory T.json --prompt "A hand opens the drawer." --out out.mp4
  dwm generate --model base --lora dwm --data-root data --dataset-file data/test.txt --output-dir out --skip-existing`,
    )
    .action(async (flags: Given) => {
      const { json, device } = program.opts();
      const reporter = createReporter(json === true);
      await interruptible((signal) => generate({ ...flags, device }, defaultModel, reporter, signal));
    });
}

/** Of a pixel of a clip, in its videos and pictures, at the least. */
const CLIP_BYTES = 0.1;

/** Help on the default of an option that a model may set. */
const orElse = (original: number) => `(default: the model's own, else ${original})`;

async function generate(
  given: Given,
  defaultModel: string,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const loras = await Promise.all((given.checkpointPath ?? []).map(givenLora));
  const checkpointPath = loras[0]?.path;
  const checkpointFolder =
    checkpointPath && ((await isFile(checkpointPath)) ? dirname(checkpointPath) : checkpointPath);
  const configFile = given.experimentConfig ?? (await findExperiment(checkpointFolder));
  const experiment = await readExperiment(configFile, given.override ?? [], reporter);
  if (configFile !== given.experimentConfig) reporter.say(`the experiment is ${configFile}`);
  const sizes = (['height', 'width', 'numFrames'] as const).flatMap((name) => {
    const value = given[name] ?? experiment[name];
    return value === undefined ? [] : [[name, value]];
  });
  const model = given.model ?? experiment.baseModel;
  const root = given.dataRoot ?? experiment.dataRoot;
  const listed = given.datasetFile ?? given.video;
  const opened = listed === undefined ? undefined : await openDataRoot(root, listed, signal);
  const modelPath = model && (await modelFolder(model));
  const family = await familyOfModel(modelPath ?? defaultModel);
  const withoutHands = family.typesWithoutHands?.find((type) => type === experiment.type);
  const asked: Asked = {
    ...given,
    ...{ withoutHands, firstFrameOnly: experiment.conditioning === 'i2v' },
    ...(opened && { remote: opened.remote, [given.datasetFile ? 'datasetFile' : 'video']: opened.list }),
    ...Object.fromEntries(sizes),
    model: modelPath,
    loras,
    dataRoot: opened?.remote.folder ?? root,
    promptSubdir: given.promptSubdir ?? experiment.promptSubdir ?? 'prompts_rewrite',
    staticSubdir: experiment.staticSubdir,
    handSubdir: experiment.handSubdir,
    // The original's folder, where nothing else is said.
    outputDir:
      given.outputDir ?? (checkpointFolder && !given.out ? join(checkpointFolder, 'inference') : undefined),
  };
  if (asked.video !== undefined) asked.video = await belowRoot(asked.video, asked.dataRoot);
  checkFlags(asked);
  const worker = asked.datasetFile
    ? workerFrom(asked, asked.outputDir!, 'generate', reporter, cutsOf(asked))
    : undefined;
  const share = asked.datasetFile && !worker ? shareFrom(asked, process.env) : WHOLE;
  const { jobs, total } = asked.datasetFile
    ? await listJobs(asked, share, family)
    : asked.variantManifestJson
      ? await variantJobs(asked, asked.variantManifestJson)
      : { jobs: [await oneJob(asked, reporter)], total: 1 };
  if (jobs.length === 0) return reporter.result({ clips: [] }, 'nothing to do');
  const all = () =>
    generateAll(jobs, total, share, worker, asked, experiment, defaultModel, family, reporter, signal);
  if (worker) return worker.beside(all);
  const [{ name }] = jobs;
  const [out, what] = isMany(asked)
    ? [asked.outputDir!, shareName(share) || undefined]
    : [dirname(name), basename(name)];
  await withOutput(out, { name: what }, all);
}

async function generateAll(
  jobs: readonly Job[],
  total: number,
  share: Share,
  worker: Worker | undefined,
  asked: Asked,
  experiment: Experiment,
  defaultModel: string,
  family: ModelFamily,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const todo: Job[] = [];
  for (const job of jobs) {
    if (!worker && asked.skipExisting && (await exists(outputPaths(job.name, false).video))) {
      reporter.say(`${job.name}.mp4 is there already`);
    } else todo.push(job);
  }
  if (todo.length === 0) {
    reporter.result({ clips: [] }, 'nothing to do');
    return;
  }

  // Everything that can be wrong with the input shows here, not after minutes of loading.
  const { path: model, folder: base, settings } = await chooseModel(asked.model, reporter, defaultModel);
  const { defaults } = family;
  checkPipelineType(family, model, experiment.type, experiment.file);
  const experimentTiling = defaults.readsTiling ? experiment.tiling : undefined;
  const flags: Flags = {
    ...settings,
    ...asked,
    model,
    negativePrompt: asked.negativePrompt ?? defaults.negativePrompt,
    tiling: asked.tiling ?? experimentTiling ?? defaults.tiling,
    modelFps: asked.modelFps ?? experiment.modelFps,
    seed: asked.seed === 0 && defaults.zeroIsUnseeded ? chanceSeed(reporter, worker) : asked.seed,
  };
  if (family.tellsDefaults) reporter.say(settingsLine(family, flags));
  if (flags.withoutHands) reporter.say(`${flags.withoutHands} knows no hands: no hand video is used`);
  if (flags.firstFrameOnly)
    reporter.say('training.conditioning_mode i2v: of the static video only the first frame is seen');
  const tuned = await openFineTuned(flags.loras, experiment.mode);
  const folder = withTransformer(base, tuned);
  const embeds = flags.promptEmbeds ? await readPromptEmbeds(flags.promptEmbeds) : undefined;
  await checkText(folder, embeds, flags.guidanceScale > 1);
  const prompt = await givenPrompt(flags, embeds);
  const draws = flags.latents
    ? await readDraws(flags.latents, await family.latentSize(folder, sizeOf(flags)))
    : undefined;
  const shapes = await family.shapes(folder);
  const shortcuts = shortcutsOf(flags);
  const cache = checkCache(shapes.stacked().network, flags.numInferenceSteps, shortcuts);
  const needs = {
    ...needsOf(family, flags, flags.precision, embeds),
    ...(tuned.loras.length > 0 && {
      loras: { count: tuned.loras.length, bytes: await loraBytes(tuned.loras) },
    }),
    ...{ tiling: flags.tiling, cache, cfgSkipRatio: shortcuts.cfgSkipRatio },
  };
  const tellPlan = async () => {
    const plan = planRun(shapes, await planTarget(flags), needs);
    reporter.result(plan, await planTable(plan, model));
  };
  // Clips that are shared or fetched are looked at by whoever makes them.
  if (flags.dryRun && (worker || flags.remote)) return tellPlan();
  const planned = { path: model, folder, shapes, needs };
  const opening = () => openModelOf(flags, planned, tuned, experiment, reporter, signal);
  const promptOf = async (job: Job) => {
    const own = prompt ?? (await captionOf(job));
    const { promptPrefix } = flags;
    return typeof own === 'string' && promptPrefix ? `${promptPrefix} ${own}`.trim() : own;
  };
  const read = async (job: Job): Promise<ReadClip> => {
    const found = await readVideos(job, { frames: flags.numFrames, fps: flags.fps }, defaults.takes);
    const videos = flags.withoutHands ? { ...found, ...ablateVideos(found, 'no-hands') } : found;
    const said = reportClip(videos, job, flags, family, reporter);
    return { videos, said, prompt: await promptOf(job) };
  };
  if (worker) {
    const run = runRecord(flags, share, total);
    const context = { flags, draws, reporter, signal, share, run };
    await generateShared(worker, todo, context, read, opening);
    return;
  }
  if (flags.remote) await fetchJobs(flags.remote, todo, reporter);
  const silent = await checkJobFiles(todo, flags);
  if (silent.length > 0 && PROMPTS.every((name) => flags[name] === undefined)) {
    const others = silent.length > 1 ? ` and ${silent.length - 1} others` : '';
    reporter.warn(`${silent[0]}${others}: no such caption; the prompt is empty`);
  }
  const pixels = flags.numFrames * flags.height * flags.width;
  await checkOutput(dirname(todo[0].name), todo.length * pixels * CLIP_BYTES);
  if (flags.saveTensors) await checkOutput(dirname(flags.saveTensors), pixels * 12);
  const { scene, trajectory } = flags;
  const drawn =
    scene && trajectory !== undefined
      ? await readClipFiles({ ...flags, scene, trajectory, frames: flags.numFrames }, reporter)
      : undefined;
  const first = drawn ? { prompt: await promptOf(todo[0]) } : await read(todo[0]);
  const limit = drawn && knowsOnly(basename(flags.model ?? ''));
  if (limit) reporter.say(limit);
  if (flags.dryRun) return tellPlan();

  const { device, pipeline } = await opening();
  const run = {
    ...runRecord(flags, share, total),
    ...(!isMany(flags) && filesRecord(todo[0], flags)),
  };
  // Those that deal a list out write it once, as the original has it.
  if (share.shard.rank === 0) await recordRun(runFile(flags, todo[0]), run);
  const context = { flags, draws, device, pipeline, reporter, signal, share, run };
  try {
    const results = [];
    for (const [i, job] of todo.entries()) {
      signal.throwIfAborted();
      if (todo.length > 1) reporter.say(`clip ${i + 1} of ${todo.length}: ${basename(job.name)}`);
      const clip = i === 0 ? first : await read(job);
      const whole =
        'videos' in clip ? clip : { ...clip, videos: await drawVideos(device, drawn!, reporter, signal) };
      results.push(await generateClip(context, job, whole));
    }
    reporter.result({ clips: results }, results.map(({ video }) => video).join('\n'));
  } finally {
    pipeline.destroy();
    device.destroy();
  }
}

/** The model on its device, with what there is to say about its LoRA. */
async function openModelOf(
  flags: Flags,
  planned: PlannedModel,
  tuned: Awaited<ReturnType<typeof openFineTuned>>,
  experiment: Experiment,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<{ device: Device; pipeline: DwmPipeline }> {
  const device = await openTunedDevice(reporter, undefined, flags.memory);
  const options = {
    ...(flags.resume && { decodeTiling: SMALL_TILES }),
    lora: tuned.loras,
    distilled: await distilledLora(flags, experiment),
    network: { fps: flags.modelFps },
  };
  const pipeline = await openPipeline(device, planned, options, reporter, signal);
  if (pipeline.distilled) {
    const { merged, differences, unused } = pipeline.distilled;
    reporter.say(
      `LightX2V: ${merged} layers and ${differences} differences merged${unused.length > 0 ? `, ${unused.length} tensors left out: ${unused.slice(0, 3).join(', ')}` : ''}; --num-inference-steps and --guidance-scale stay ${flags.numInferenceSteps} and ${flags.guidanceScale} (it was made for 4 and 1)`,
    );
  }
  if (pipeline.quantized > 0) {
    const stays = pipeline.lora ? '; LoRAs stay beside them' : '';
    reporter.say(`transformer: ${pipeline.quantized} weights are quantized${stays}`);
  }
  if (pipeline.lora) {
    const { loraAlpha: alpha } = experiment;
    const file = experiment.file ?? '';
    const { warnings, notes } = loraRemarks(pipeline.lora, alpha === undefined ? undefined : { file, alpha });
    for (const line of warnings) reporter.warn(line);
    for (const line of notes) reporter.say(line);
  }
  return { device, pipeline };
}

/** The clips of a list as one of several processes that share it; those that are there are kept. */
async function generateShared(
  worker: Worker,
  jobs: readonly Job[],
  context: Omit<ClipContext, 'device' | 'pipeline'>,
  read: (job: Job) => Promise<ReadClip>,
  opening: () => Promise<{ device: Device; pipeline: DwmPipeline }>,
): Promise<void> {
  const { flags, reporter, run, signal } = context;
  const made: Awaited<ReturnType<typeof generateClip>>[] = [];
  if (worker.place.rank === 0) await recordRun(runFile(flags, jobs[0]), run);
  let opened: Awaited<ReturnType<typeof opening>> | undefined;
  try {
    await worker.each({
      items: jobs.map((job) => ({
        job,
        name: job.line!,
        file: relative(flags.outputDir!, outputPaths(job.name, false).video),
      })),
      signal,
      open: async () => {
        opened = await opening();
        return opened;
      },
      async work({ job }, tools) {
        if (flags.remote) await fetchJobs(flags.remote, [job], reporter);
        await checkJobFiles([job], flags);
        made.push(await generateClip({ ...context, ...tools }, job, await read(job)));
      },
    });
  } finally {
    opened?.pipeline.destroy();
    opened?.device.destroy();
  }
  const text = made.map(({ video }) => video).join('\n');
  reporter.result({ clips: made }, made.length > 0 ? text : 'nothing to do: other processes made all clips');
}

/** Flags that cut a list as the original does. */
const cutsOf = (flags: Given): readonly (string | undefined)[] =>
  (['chunkId', 'numChunks', 'shardRank', 'numShards'] as const).map((name) =>
    flags[name] === undefined ? undefined : `--${flagName(name)}`,
  );

/** @returns the warnings that were said. */
function reportClip(
  { sources, handVideo, first }: ReadVideos,
  job: Job,
  flags: Flags,
  { defaults }: ModelFamily,
  reporter: Reporter,
): readonly string[] {
  const aim = { ...flags, model: basename(flags.model ?? ''), first, fit: defaults.fit };
  const { line, warnings } = clipReport(sources, handVideo, aim, (fps) => `--fps ${fps}`);
  reporter.say(line);
  for (const name of ['staticVideo', 'handVideo'] as const) {
    const remark = pixelRemark(job[name], sources[name]);
    if (remark) reporter.say(remark);
  }
  const noHands = flags.withoutHands && handWarning(handCoverage(handVideo));
  for (const warning of warnings) if (warning !== noHands) reporter.warn(warning);
  return warnings;
}

const sizeOf = ({ numFrames, height, width }: Flags) => ({ frames: numFrames, height, width });

/** A seed for a run that asked for none. */
function chanceSeed(reporter: Reporter, worker: Worker | undefined): number {
  if (worker)
    throw new InvalidArgumentError('seed', '0 is a seed of chance here, another for each process; give one');
  const seed = 1 + Math.floor(Math.random() * (2 ** 32 - 1));
  reporter.say(`--seed 0 is a seed of chance here: ${seed}`);
  return seed;
}

/** What a run is made with, for models whose defaults are not those of the help. */
function settingsLine({ name }: ModelFamily, flags: Flags): string {
  const { numInferenceSteps, guidanceScale, numFrames, width, height, negativePrompt, tiling, seed } = flags;
  return `${name}: ${numInferenceSteps} steps, guidance ${guidanceScale}, ${numFrames} frames of ${width}x${height}, negative prompt "${negativePrompt}", seed ${seed}, ${tiling ? 'in tiles' : 'not tiled'}`;
}

/** The LoRA for fewer steps that flags or the experiment file name. */
async function distilledLora(flags: Flags, { lightx2v = {} }: Experiment) {
  const path = flags.lightx2vLoraPath ?? lightx2v.path;
  if (path === undefined) return undefined;
  if ((flags.lightx2vCompatMode ?? lightx2v.mode) === 'off') {
    throw new InvalidArgumentError(
      'lightx2v-compat-mode',
      'off leaves loading to a method that this model does not have, and fails in the original; leave it out',
    );
  }
  return {
    source: await openPath(path),
    scale: flags.lightx2vLoraScale ?? lightx2v.scale,
    strict: flags.lightx2vCompatStrict ?? lightx2v.strict,
    outsideBlocks: lightx2v.outsideBlocks,
  };
}

/** Of the VAE where decoding has failed once: an eighth of the usual memory. */
const SMALL_TILES = { tileSampleMinHeight: 96, tileSampleMinWidth: 120 };

const PROMPTS = ['prompt', 'promptFile', 'promptEmbeds', 'useEmptyPrompts'] as const;

/** A mask that hides all frames but the first. */
function laterFrames({
  numFrames: frames,
  height,
  width,
}: Pick<RunSettings, 'numFrames' | 'height' | 'width'>): Mask {
  return { frames, height, width, data: new Uint8Array(frames * height * width).fill(255, height * width) };
}

/** Flags as they are typed. */
const flagName = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** @throws InvalidArgumentError for flags that contradict each other. */
function checkFlags(flags: Given): void {
  const given = (names: readonly (keyof Given)[]) =>
    names.filter((name) => flags[name] !== undefined).map((name) => `--${flagName(name)}`);
  const prompts = given(PROMPTS);
  if (prompts.length > 1)
    throw new InvalidArgumentError('prompt', `expected one kind of prompt, got ${prompts.join(' and ')}`);
  if (flags.suffix !== undefined && (flags.out || /[/\\]/.test(flags.suffix)))
    throw new InvalidArgumentError('suffix', 'is a part of a name that goes with --output-dir');
  if (flags.out && flags.outputDir)
    throw new InvalidArgumentError('out', 'expected --out or --output-dir, got both');
  if (flags.scene || flags.trajectory) {
    const [video] = given(['staticVideo', 'handVideo', 'video']);
    if (video)
      throw new InvalidArgumentError('scene', `expected --scene and --trajectory or ${video}, got both`);
    if (!flags.scene) throw new InvalidArgumentError('scene', 'is required with --trajectory');
    if (!flags.trajectory) throw new InvalidArgumentError('trajectory', 'is required with --scene');
  }
  if (!flags.datasetFile && flags.ablate === 'shuffled-hands')
    throw new InvalidArgumentError(
      'ablate',
      'shuffled-hands takes hands of another clip; give --dataset-file',
    );
  if (!flags.datasetFile && flags.worker !== undefined)
    throw new InvalidArgumentError('worker', 'shares the clips of a list; give --dataset-file');
  if (!isMany(flags)) return;
  const [single] = given(['out', 'staticVideo', 'handVideo', 'scene', 'trajectory', 'video', 'saveTensors']);
  if (single)
    throw new InvalidArgumentError(
      single.slice(2),
      `is about one clip; leave it out with --${listOf(flags)}`,
    );
  if (flags.variantManifestJson) {
    const [other] = given(['datasetFile', ...PROMPTS.slice(0, 2)]);
    if (other)
      throw new InvalidArgumentError(
        other.slice(2),
        'leave it out with --variant-manifest-json, which says it',
      );
  }
  for (const name of flags.datasetFile ? (['dataRoot', 'outputDir'] as const) : (['outputDir'] as const)) {
    if (!flags[name]) throw new InvalidArgumentError(flagName(name), `is required with --${listOf(flags)}`);
  }
}

/** Whether the clips are those of a list, or of a manifest. */
const isMany = ({ datasetFile, variantManifestJson }: Given): boolean =>
  (datasetFile ?? variantManifestJson) !== undefined;

/** The flag that many clips come with. */
const listOf = ({ datasetFile }: Given) => (datasetFile ? 'dataset-file' : 'variant-manifest-json');

/** A clip's path below the output folder, without extension. */
const outputStem = ({ outputDir, suffix = '' }: Given, name: string): string =>
  join(outputDir!, name + suffix);

/** A clip for each of a manifest's hands; what it says to all of them becomes a flag. */
async function variantJobs(asked: Asked, file: string): Promise<{ jobs: Job[]; total: number }> {
  const { jobs, prompt, promptFile } = await readVariants(file, asked, asked.dataRoot);
  Object.assign(asked, { prompt, promptFile });
  const named = jobs.map((job) => ({ ...job, name: outputStem(asked, job.name) }));
  return { jobs: named, total: jobs.length };
}

/** This process's clips of the list. Every job's `name` is the output path without extension. */
async function listJobs(
  flags: Asked,
  share: Share,
  { defaults }: ModelFamily,
): Promise<{ jobs: Job[]; total: number }> {
  const all = await readDatasetList(flags.datasetFile!, {
    dataRoot: flags.dataRoot!,
    promptSubdir: flags.promptSubdir,
    staticSubdir: flags.staticSubdir,
    handSubdir: flags.handSubdir,
    followLinks: flags.followLinks,
    layout: flags.datasetOutputLayout,
    maxSamples: flags.maxSamples,
    shuffleSeed: flags.shuffleDataset ? (flags.shuffleSeed ?? flags.seed) : undefined,
  });
  const own = flags.ablate === 'shuffled-hands' ? shuffleHands(all) : all;
  const jobs = flags.withoutHands ? own.map((job) => ({ ...job, handVideo: job.staticVideo })) : own;
  const named = shareOf(jobs, share, defaults.chunkRemainder).map((job) => ({
    ...job,
    name: outputStem(flags, job.name),
  }));
  return { jobs: named, total: jobs.length };
}

/** The caption beside a trajectory, `<trajectory>.txt`; without one the hands alone tell what happens. */
async function captionOfTrajectory(trajectory: string, reporter: Reporter): Promise<string | undefined> {
  const file = trajectory.replace(/\.[^.]+$/, '.txt');
  if (await exists(file)) return file;
  reporter.say(`no --prompt and no ${file}: the model gets no caption and goes by the hands alone`);
}

/** The one clip that the flags ask for. */
async function oneJob(flags: Asked, reporter: Reporter): Promise<Job> {
  const beside = flags.video ? jobOfVideo(flags.video, flags, 0, '') : undefined;
  const staticVideo = flags.scene?.[0] ?? flags.staticVideo ?? beside?.staticVideo;
  const handVideo =
    flags.trajectory ?? (flags.withoutHands ? staticVideo : (flags.handVideo ?? beside?.handVideo));
  if (!staticVideo || !handVideo) {
    const missing = staticVideo ? 'hands' : 'static';
    throw new InvalidArgumentError(
      missing,
      'is required, unless --scene, --video, --dataset-file or --variant-manifest-json is given',
    );
  }
  const stem = flags.video ? basename(flags.video, extname(flags.video)) : 'generated';
  const out = flags.out ?? (flags.outputDir && `${outputStem(flags, stem)}.mp4`);
  if (!out) throw new InvalidArgumentError('out', 'is required: the .mp4 to write');
  if (extname(out) !== '.mp4')
    throw new InvalidArgumentError('out', `expected a name ending in .mp4, got ${out}`);
  const prompted = PROMPTS.some((name) => flags[name] !== undefined);
  if (!beside && !flags.trajectory && !prompted) {
    throw new InvalidArgumentError(
      'prompt',
      'is required; or pass --prompt-file, --prompt-embeds or --use-empty-prompts',
    );
  }
  return {
    staticVideo,
    handVideo,
    truth: beside?.truth,
    promptFile:
      flags.trajectory && !prompted
        ? await captionOfTrajectory(flags.trajectory, reporter)
        : beside?.promptFile,
    name: out.slice(0, -4),
    index: 0,
  };
}

interface ClipContext {
  readonly flags: Flags;
  readonly draws: GenerateOptions['draws'];
  readonly device: Device;
  readonly pipeline: DwmPipeline;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  readonly share: Share;
  readonly run: Readonly<Record<string, unknown>>;
}

/** What a clip is made from, as its files have it. */
interface ReadClip {
  readonly videos: ClipVideos;
  /** Warnings that were said of them. */
  readonly said?: readonly string[];
  readonly prompt: string | TextEmbeds;
}

async function generateClip(
  { flags, draws, device, pipeline, reporter, signal, share, run }: ClipContext,
  job: Job,
  { prompt, said = [], ...read }: ReadClip,
): Promise<{ video: string; metadata: string; seconds: number }> {
  const videos = ablateVideos(read.videos, flags.ablate);
  if (typeof prompt === 'string') warnIfLong(prompt, pipeline, reporter);
  const paths = outputPaths(job.name, videos.truth !== undefined, flags.out === undefined);
  const settings = {
    negativePrompt: flags.negativePrompt,
    numFrames: flags.numFrames,
    height: flags.height,
    width: flags.width,
    numInferenceSteps: flags.numInferenceSteps,
    guidanceScale: flags.guidanceScale,
    dynamicGuidance: flags.dynamicGuidance ?? false,
    composite: flags.composite,
    seed:
      flags.seed + (flags.datasetFile && pipeline.family.defaults.seedOfClip === 'add-place' ? job.index : 0),
    strength: flags.strength,
    tiling: flags.tiling,
    ...shortcutsOf(flags),
  };
  const estimate = () => pipeline.estimate({ ...settings, ...videos, prompt });
  await beforeUse.tune(device, () => estimate().plans);
  const planned = estimate().bytes;
  // Hands that were taken away on purpose are no news.
  const handless = flags.ablate ?? flags.withoutHands;
  const known = new Set([...said, ...(handless ? [handWarning(handCoverage(videos.handVideo))] : [])]);
  const started = performance.now();
  const kept = `${job.name}_latents.safetensors`;
  const denoised = flags.resume && (await exists(kept)) ? await readLatents(kept) : undefined;
  if (denoised) reporter.say(`decoding ${kept}`);
  const generation = pipeline.generate({
    ...settings,
    ...videos,
    ...(flags.firstFrameOnly && { mask: laterFrames(settings) }),
    prompt,
    draws,
    denoised,
    exact: flags.saveTensors !== undefined,
    signal,
    onWarning(line) {
      if (!known.has(line)) reporter.warn(line);
    },
    onProgress: generationProgress(reporter),
  });
  const generated = await generation.catch(async (error: unknown) => {
    if (!(error instanceof UndecodedError)) throw error;
    const { latentShape, latents } = error;
    await saveLatents(kept, latentShape, latents);
    error.message += `; the latents are kept in ${kept}: the same command with --resume decodes them again, in smaller tiles`;
    throw error;
  });
  if (denoised) await rm(kept);
  const seconds = (performance.now() - started) / 1000;
  signal.throwIfAborted();
  if (flags.saveTensors) await saveTensors(flags.saveTensors, generated);
  const metadata = metadataPath(paths.video, share);
  const entry = {
    ...settings,
    prompt: typeof prompt === 'string' ? prompt : undefined,
    promptEmbeds: flags.promptEmbeds,
    latents: flags.latents,
    fps: flags.fps,
    precision: flags.precision,
    model: flags.model,
    ablate: flags.ablate,
    withoutHands: flags.withoutHands,
    firstFrameOnly: flags.firstFrameOnly || undefined,
    lora: loraRecord(flags.loras),
    lightx2vLora: flags.lightx2vLoraPath,
    loraScales: pipeline.lora?.scales,
    quantizedWeights: pipeline.quantized || undefined,
    scheduler: pipeline.scheduler.className,
    staticVideo: flags.scene ?? job.staticVideo,
    handVideo: job.handVideo,
    mano: flags.mano,
    handGlb: flags.handGlb,
    truth: videos.truth && job.truth,
    timesteps: generated.timesteps,
    guidance: generated.guidance,
    calculated: generated.calculated,
    adapter: device.caps.adapter,
    frames: generated.frames,
    plannedDeviceBytes: planned,
    peakDeviceBytes: device.memory.peak,
    seconds,
    date: new Date().toISOString(),
    version: VERSION,
    /** Relative paths above and in the command start here. */
    workingDirectory: process.cwd(),
    command: process.argv.slice(2),
  };
  if (flags.datasetFile && flags.datasetOutputLayout === 'per_sample' && share.shard.rank === 0) {
    await recordRun(join(dirname(paths.video), 'metadata.json'), {
      ...run,
      relative_video_path: job.line,
      ...filesRecord(job, flags),
      seed: settings.seed,
      global_index: job.index,
    });
  }
  const written = typeof prompt === 'string' ? prompt : '';
  await writeClip(paths, { ...generated, fps: flags.fps }, videos, { file: metadata, entry }, written);
  const left = generated.calculated.filter((step) => !step).length;
  const steps = left > 0 ? `, ${left} of ${generated.calculated.length} steps left out` : '';
  reporter.progress(`${paths.video}: ${clock(seconds)}${steps}`, true);
  return { video: paths.video, metadata, seconds };
}

/** What is true of the whole run, under the keys of the original's `metadata.json`. */
function runRecord(flags: Flags, { chunk, shard }: Share, total: number): Record<string, unknown> {
  const [start, end] = chunkBounds(total, chunk);
  return {
    checkpoint_path: flags.loras[0]?.path ?? flags.model,
    num_inference_steps: flags.numInferenceSteps,
    guidance_scale: flags.guidanceScale,
    num_frames: flags.numFrames,
    height: flags.height,
    width: flags.width,
    prompt_subdir: flags.promptSubdir,
    seed: flags.seed,
    chunk_id: chunk.rank,
    num_chunks: chunk.of,
    shard_rank: shard.rank,
    num_shards: shard.of,
    ...(flags.datasetFile
      ? {
          mode: 'dataset_file',
          dataset_file: flags.datasetFile,
          num_samples: total,
          chunk_start: start,
          chunk_end: end,
          num_chunk_samples: end - start,
        }
      : flags.variantManifestJson
        ? { mode: 'hand_video', variant_manifest_json: flags.variantManifestJson, num_samples: total }
        : { mode: 'single_video' }),
  };
}

/** Where the record of the run goes: the output folder. */
const runFile = (flags: Flags, first: Job): string =>
  join(isMany(flags) ? flags.outputDir! : dirname(first.name), 'metadata.json');

/** A clip's files, under the original's keys. */
const filesRecord = (job: Job, flags: Flags): Record<string, unknown> => ({
  video: job.truth ?? null,
  static_video: job.staticVideo,
  hand_video: job.handVideo,
  prompt_path: flags.promptFile ?? (flags.prompt === undefined ? (job.promptFile ?? null) : null),
});

/** The prompt of all clips, where flags give one. */
async function givenPrompt(
  { prompt, promptFile, useEmptyPrompts }: Given,
  embeds: TextEmbeds | undefined,
): Promise<string | TextEmbeds | undefined> {
  if (embeds) return embeds;
  if (useEmptyPrompts) return '';
  return promptFile === undefined ? prompt : readNamedPrompt(promptFile);
}

/** The caption of a clip; one that is not there is the empty prompt, as in the original. */
const captionOf = async ({ promptFile }: Job): Promise<string> =>
  promptFile !== undefined && (await exists(promptFile)) ? readPrompt(promptFile) : '';

function warnIfLong(prompt: string, pipeline: DwmPipeline, reporter: Reporter): void {
  const tokens = pipeline.countTokens(prompt);
  if (tokens !== undefined && tokens > pipeline.maxPromptTokens) {
    reporter.warn(`the prompt has ${tokens} tokens; the model reads the first ${pipeline.maxPromptTokens}`);
  }
}
