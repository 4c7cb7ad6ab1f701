/** `dwm generate`: conditioning videos and a prompt in, interaction videos out; one clip or a whole list. */
import { mkdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { DEFAULTS, DwmPipeline, type GenerateOptions, type PromptEmbeds } from '@dwm/dwm-model';
import type { Command } from 'commander';
import { Option } from 'commander';
import { readExperiment } from '../generate/experiment.ts';
import { readClip, readDraws, readPrompt, readPromptEmbeds } from '../generate/inputs.ts';
import {
  type Job,
  jobOfVideo,
  readDatasetList,
  type Shard,
  shardsFromEnvironment,
  shareOf,
} from '../generate/jobs.ts';
import {
  exists,
  metadataPath,
  outputPaths,
  recordMetadata,
  saveTensors,
  toFrames,
  writeClip,
} from '../generate/outputs.ts';
import { generationProgress } from '../generate/progress.ts';
import { interruptible } from '../interrupt.ts';
import { clock, createReporter, type Reporter, size } from '../report.ts';
import { integer, real } from './options.ts';

/** Flags as commander gives them. */
interface Flags {
  model?: string;
  checkpointPath?: string;
  experimentConfig?: string;
  override?: string[];
  staticVideo?: string;
  handVideo?: string;
  video?: string;
  prompt?: string;
  promptFile?: string;
  promptEmbeds?: string;
  negativePrompt: string;
  useEmptyPrompts?: true;
  out?: string;
  outputDir?: string;
  dataRoot?: string;
  datasetFile?: string;
  promptSubdir: string;
  datasetOutputLayout: 'flat' | 'per_sample';
  maxSamples?: number;
  skipExisting?: true;
  chunkId?: number;
  numChunks?: number;
  shardRank?: number;
  numShards?: number;
  numInferenceSteps: number;
  guidanceScale: number;
  dynamicGuidance?: true;
  numFrames: number;
  height: number;
  width: number;
  fps: number;
  seed: number;
  strength: number;
  latents?: string;
  saveTensors?: string;
  precision: 'f32' | 'f16';
  tiling: boolean;
}

export function addGenerate(program: Command): void {
  program
    .command('generate')
    .description('generate the video of what the hands do to the scene')
    .optionsGroup('Model:')
    .option(
      '--model <dir>',
      'model folder: transformer/, vae/, scheduler/ and, if there, text_encoder/, tokenizer/',
    )
    .option('--lora, --checkpoint-path <dir>', 'folder of fine-tuned DWM weights')
    .option(
      '--experiment-config <yaml>',
      "the original's experiment file; names the base model and data root",
    )
    .option('--override <key=value...>', 'change a value of the experiment file, e.g. data.data_root=/data')
    .addOption(
      new Option('--precision <type>', 'multiply in this type').choices(['f32', 'f16']).default('f32'),
    )
    .optionsGroup('One clip:')
    .option('--static, --static-video <file>', 'static scene: a video, or a folder of PNG frames')
    .option('--hands, --hand-video <file>', 'hands on black: a video, or a folder of PNG frames')
    .option('--video <file>', '<sample>/videos/<stem>.mp4; finds the static, hand and prompt files beside it')
    .option('--prompt <text>', 'what happens')
    .option('--prompt-file <file>', 'text file that holds the prompt')
    .option(
      '--prompt-embeds <file>',
      'safetensors with prompt_embeds and negative_prompt_embeds, in place of a prompt',
    )
    .option('--negative-prompt <text>', 'what should not happen', '')
    .option('--use-empty-prompts', 'no prompt at all')
    .option('--out <file>', 'the video to write, .mp4')
    .optionsGroup('Many clips:')
    .option('--data-root <dir>', 'folder that the list is relative to')
    .option('--dataset-file <file>', 'list of <sample>/videos/<stem>.mp4, one a line')
    .option('--output-dir <dir>', 'folder to write to')
    .option('--prompt-subdir <name>', 'folder of captions beside videos/', 'prompts_rewrite')
    .addOption(
      new Option('--dataset-output-layout <layout>', 'all clips in one folder, or a folder each')
        .choices(['flat', 'per_sample'])
        .default('flat'),
    )
    .option('--max-samples <n>', 'only the first n clips', integer(1))
    .option('--skip-existing', 'leave clips alone whose video is there already')
    .option('--shard-rank <r>', 'this process of --num-shards (else LOCAL_RANK)', integer(0))
    .option('--num-shards <n>', 'deal the clips out to n processes (else WORLD_SIZE)', integer(1))
    .option('--chunk-id <c>', 'this run of --num-chunks (else SLURM_ARRAY_TASK_ID)', integer(0))
    .option('--num-chunks <n>', 'cut the list into n runs (else SLURM_ARRAY_TASK_COUNT)', integer(1))
    .optionsGroup('Sampling:')
    .option('--num-inference-steps <n>', 'denoising steps', integer(1, 1000), DEFAULTS.numInferenceSteps)
    .option('--guidance-scale <g>', 'classifier-free guidance; off at 1', real(0), DEFAULTS.guidanceScale)
    .option('--dynamic-guidance', 'let guidance rise over the steps')
    .option('--num-frames <n>', '4k + 1', integer(1), DEFAULTS.numFrames)
    .option('--height <pixels>', 'multiple of 16', integer(16), DEFAULTS.height)
    .option('--width <pixels>', 'multiple of 16', integer(16), DEFAULTS.width)
    .option('--fps <n>', 'frames a second of the output', real(1), 8)
    .option('--seed <n>', 'a list adds the place of the clip', integer(0), DEFAULTS.seed)
    .option(
      '--strength <s>',
      'below 1: start from the noised static video',
      real(0.001, 1),
      DEFAULTS.strength,
    )
    .option('--latents <file>', 'safetensors with the initial noise, latents [1, F, 16, h, w]')
    .option('--save-tensors <file>', 'also write the exact pixels and latents as safetensors')
    .option('--no-tiling', 'encode and decode whole frames: more memory, no seams')
    .addHelpText(
      'after',
      `
Examples:
  dwm generate --model base --lora dwm --static s.mp4 --hands h.mp4 --prompt "A hand opens the drawer." --out out.mp4
  dwm generate --model base --lora dwm --data-root data --dataset-file data/test.txt --output-dir out --skip-existing`,
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      await interruptible((signal) => generate(flags, reporter, signal));
    });
}

async function generate(given: Flags, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const experiment = await readExperiment(given.experimentConfig, given.override ?? []);
  const flags = {
    ...given,
    model: given.model ?? experiment.baseModel,
    dataRoot: given.dataRoot ?? experiment.dataRoot,
  };
  if (!flags.model)
    throw new InvalidArgumentError('model', 'is required: a folder with transformer/, vae/ and scheduler/');
  const shards = shardsFromEnvironment(flags, process.env);
  const jobs = await listJobs(flags, shards);
  const todo: Job[] = [];
  for (const job of jobs) {
    if (flags.skipExisting && (await exists(outputPaths(job.name, false).video))) {
      reporter.say(`${job.name}.mp4 is there already`);
    } else todo.push(job);
  }
  if (todo.length === 0) {
    reporter.result({ clips: [] }, 'nothing to do');
    return;
  }

  const folder = await openDirectory(flags.model);
  const lora = flags.checkpointPath ? await openDirectory(flags.checkpointPath) : undefined;
  const embeds = flags.promptEmbeds ? await readPromptEmbeds(flags.promptEmbeds) : undefined;
  const draws = flags.latents ? await readDraws(flags.latents) : undefined;

  const device = await openNodeDevice();
  reporter.say(`${device.caps.adapter.description || device.caps.adapter.device}`);
  const pipeline = await DwmPipeline.load(device, folder, {
    lora,
    precision: flags.precision,
    onProgress: (part, done, total) =>
      reporter.progress(`loading the ${part}: ${size(done)} of ${size(total)}`),
  });
  if (experiment.loraAlpha !== undefined && pipeline.lora && experiment.loraAlpha !== pipeline.lora.rank) {
    reporter.warn(
      `lora_alpha ${experiment.loraAlpha} in ${given.experimentConfig} differs from the rank ${pipeline.lora.rank} in the file; alpha is set to the rank`,
    );
  }
  try {
    const results = [];
    for (const [i, job] of todo.entries()) {
      if (todo.length > 1) reporter.say(`clip ${i + 1} of ${todo.length}: ${basename(job.name)}`);
      results.push(
        await generateClip({
          flags,
          job,
          embeds,
          draws,
          device,
          pipeline,
          reporter,
          signal,
          shard: shards.shard,
        }),
      );
    }
    reporter.result({ clips: results }, results.map(({ video }) => video).join('\n'));
  } finally {
    pipeline.destroy();
    device.destroy();
  }
}

/** What the flags ask for: every job's `name` is the output path without extension. */
async function listJobs(flags: Flags, shards: { shard: Shard; chunk: Shard }): Promise<Job[]> {
  const prompts = ['prompt', 'promptFile', 'promptEmbeds', 'useEmptyPrompts'] as const;
  const named = prompts.filter((name) => flags[name] !== undefined);
  if (named.length > 1)
    throw new InvalidArgumentError('prompt', `more than one kind of prompt was given: ${named.join(', ')}`);

  if (flags.datasetFile) {
    if (!flags.dataRoot) throw new InvalidArgumentError('data-root', 'is required with --dataset-file');
    if (!flags.outputDir) throw new InvalidArgumentError('output-dir', 'is required with --dataset-file');
    const all = await readDatasetList(flags.datasetFile, {
      dataRoot: flags.dataRoot,
      promptSubdir: flags.promptSubdir,
      layout: flags.datasetOutputLayout,
      maxSamples: flags.maxSamples,
    });
    return shareOf(all, shards).map((job) => ({ ...job, name: join(flags.outputDir!, job.name) }));
  }

  const beside = flags.video ? jobOfVideo(flags.video, flags.promptSubdir, 0, '') : undefined;
  const staticVideo = flags.staticVideo ?? beside?.staticVideo;
  const handVideo = flags.handVideo ?? beside?.handVideo;
  if (!staticVideo || !handVideo) {
    const missing = staticVideo ? 'hands' : 'static';
    throw new InvalidArgumentError(missing, 'is required, unless --video or --dataset-file is given');
  }
  const stem = flags.video ? `${basename(flags.video, extname(flags.video))}_generated` : 'generated';
  const out = flags.out ?? (flags.outputDir && join(flags.outputDir, `${stem}.mp4`));
  if (!out) throw new InvalidArgumentError('out', 'is required: the .mp4 to write');
  if (extname(out).toLowerCase() !== '.mp4')
    throw new InvalidArgumentError('out', `expected a name ending in .mp4, got ${out}`);
  if (named.length === 0 && !beside) {
    throw new InvalidArgumentError(
      'prompt',
      'is required; or pass --prompt-file, --prompt-embeds or --use-empty-prompts',
    );
  }
  return [
    {
      staticVideo,
      handVideo,
      truth: beside?.truth,
      promptFile: beside?.promptFile,
      name: out.slice(0, -4),
      index: 0,
    },
  ];
}

interface ClipContext {
  readonly flags: Flags;
  readonly job: Job;
  readonly embeds: PromptEmbeds | undefined;
  readonly draws: GenerateOptions['draws'];
  readonly device: Device;
  readonly pipeline: DwmPipeline;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  readonly shard: Shard;
}

async function generateClip(
  context: ClipContext,
): Promise<{ video: string; metadata: string; seconds: number }> {
  const { flags, job, embeds, draws, device, pipeline, reporter, signal, shard } = context;
  const prompt = await promptOf(flags, job, embeds);
  if (typeof prompt === 'string') warnIfLong(prompt, pipeline, reporter);
  const staticVideo = await readClip(job.staticVideo, flags.fps);
  const handVideo = await readClip(job.handVideo, flags.fps);
  const truth = job.truth && (await exists(job.truth)) ? await readClip(job.truth, flags.fps) : undefined;
  const paths = outputPaths(job.name, truth !== undefined);
  await mkdir(dirname(paths.video), { recursive: true });

  const settings = {
    negativePrompt: flags.negativePrompt,
    numFrames: flags.numFrames,
    height: flags.height,
    width: flags.width,
    numInferenceSteps: flags.numInferenceSteps,
    guidanceScale: flags.guidanceScale,
    dynamicGuidance: flags.dynamicGuidance ?? false,
    seed: flags.datasetFile ? flags.seed + job.index : flags.seed,
    strength: flags.strength,
    tiling: flags.tiling,
  };
  const started = performance.now();
  const generated = await pipeline.generate({
    ...settings,
    staticVideo,
    handVideo,
    prompt,
    draws,
    signal,
    onProgress: generationProgress(reporter),
  });
  const seconds = (performance.now() - started) / 1000;
  if (flags.saveTensors) await saveTensors(flags.saveTensors, generated);
  await writeClip(paths, toFrames(generated, flags.fps), { staticVideo, handVideo, truth });
  const metadata = metadataPath(paths.video, shard);
  await recordMetadata(metadata, paths.video, {
    ...settings,
    prompt: typeof prompt === 'string' ? prompt : undefined,
    promptEmbeds: flags.promptEmbeds,
    latents: flags.latents,
    fps: flags.fps,
    precision: flags.precision,
    model: flags.model,
    lora: flags.checkpointPath,
    scheduler: pipeline.scheduler.className,
    staticVideo: job.staticVideo,
    handVideo: job.handVideo,
    truth: truth && job.truth,
    timesteps: generated.timesteps,
    guidance: generated.guidance,
    adapter: device.caps.adapter,
    peakDeviceBytes: device.memory.peak,
    seconds,
    date: new Date().toISOString(),
    command: process.argv.slice(2),
  });
  reporter.progress(`${paths.video}: ${clock(seconds)}`, true);
  return { video: paths.video, metadata, seconds };
}

async function promptOf(
  flags: Flags,
  job: Job,
  embeds: PromptEmbeds | undefined,
): Promise<string | PromptEmbeds> {
  if (embeds) return embeds;
  if (flags.useEmptyPrompts) return '';
  if (flags.prompt !== undefined) return flags.prompt;
  return readPrompt(flags.promptFile ?? job.promptFile!);
}

function warnIfLong(prompt: string, pipeline: DwmPipeline, reporter: Reporter): void {
  const tokens = pipeline.countTokens(prompt);
  if (tokens !== undefined && tokens > pipeline.maxPromptTokens) {
    reporter.warn(`the prompt has ${tokens} tokens; the model reads the first ${pipeline.maxPromptTokens}`);
  }
}
