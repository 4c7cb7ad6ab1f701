/** `dwm live`: hands along a path into a model that looks back only, block by block, as they would move live. */
import { basename, dirname, extname, join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { checkOutput, withOutput } from '@dwm/core-tensor/node';
import { atSize, clipReport, DwmPipeline, familyOf } from '@dwm/dwm-model';
import { DwmStream, NotCausalError } from '@dwm/dwm-model/live';
import { type LiveNeeds, PLAN_DEVICES, planLive, targetOf } from '@dwm/dwm-model/memory';
import { contactSheet, type Frames, writePng, writeVideo } from '@dwm/media/node';
import { type Command, Option } from 'commander';
import { checkText } from '../generate/check.ts';
import { chooseModel, DEFAULT_LIVE_MODEL } from '../generate/default-model.ts';
import { exists } from '../generate/files.ts';
import { readNamedPrompt, readPrompt, readPromptEmbeds } from '../generate/inputs.ts';
import { jobOfVideo } from '../generate/jobs.ts';
import { recordMetadata } from '../generate/outputs.ts';
import { loadingProgress } from '../generate/progress.ts';
import { interruptible } from '../interrupt.ts';
import { readPair } from '../live/read-pair.ts';
import { type LiveRates, runLive } from '../live/run.ts';
import { livePlanLine, liveTable } from '../memory/table.ts';
import { planTarget } from '../memory/target.ts';
import { drawVideos, readClipFiles } from '../render/clips.ts';
import { type DrawFlags, drawOptions, handGlbOption, manoOption } from '../render/options.ts';
import { size as bytesText, createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { VERSION } from '../version.ts';
import { compositeOption, inSteps, integer, memoryOption, noCompositeOption, real } from './options.ts';

interface Flags extends DrawFlags {
  model?: string;
  precision: 'f32' | 'f16';
  memory?: number;
  dryRun?: true;
  device?: string;
  staticVideo?: string;
  handVideo?: string;
  scene?: string[];
  trajectory?: string;
  video?: string;
  prompt?: string;
  promptFile?: string;
  promptEmbeds?: string;
  out: string;
  numFrames?: number;
  height?: number;
  width?: number;
  fps?: number;
  still?: true;
  repeat: number;
  seed: number;
  numInferenceSteps?: number;
  guidanceScale?: number;
  composite?: boolean;
}

/** @param defaultModel what runs without `--model`. */
export function addLive(program: Command, defaultModel = DEFAULT_LIVE_MODEL): void {
  const command = program
    .command('live')
    .option(
      '--model <dir>',
      'folder of a model with "causal" in its transformer/config.json; else models/dwm-tiny-live',
    )
    .addOption(
      new Option('--precision <type>', 'multiply in this type').choices(['f32', 'f16']).default('f32'),
    )
    .addOption(memoryOption())
    .option(
      '--dry-run',
      `check everything, say what the run takes on the device, and end; --device may be ${PLAN_DEVICES.join(', ')}`,
    )
    .option('--static, --static-video <file>', 'static scene: a video, or a folder of frames')
    .option('--hands, --hand-video <file>', 'hands on black: a video, or a folder of frames')
    .option(
      '--scene <files...>',
      'in place of the videos: draw this scene (.glb, .gltf, .ply, .splat, .spz, .sog) …',
    )
    .option('--trajectory <file>', '… and the hands along this camera path; see dwm trajectory')
    .option('--video <file>', '<sample>/videos/<stem>.mp4; finds the static, hand and prompt files beside it')
    .option(
      '--prompt <text>',
      'what happens; the caption beside --video or --trajectory, or nothing, if left out',
    )
    .option('--prompt-file <file>', 'text file that holds the prompt')
    .option('--prompt-embeds <file>', 'safetensors with prompt_embeds, in place of a prompt')
    .requiredOption('--out <file>', 'the video to write, .mp4')
    .option(
      '--num-frames <n>',
      'frames of the path (default: all of a video; 49 of a trajectory)',
      integer(1),
    )
    .option(
      '--height <pixels>',
      "multiple of 16 (default: the model's own, else 480)",
      inSteps(16, 16, 'a multiple of 16'),
    )
    .option(
      '--width <pixels>',
      "multiple of 16 (default: the model's own, else 720)",
      inSteps(16, 16, 'a multiple of 16'),
    )
    .option(
      '--fps <n>',
      "frames a second of the output, and of a path that is drawn (default: the model's own, else 8)",
      real(1, 240),
    )
    .option('--still', 'the camera stands: the first static frame is the scene, and is encoded once')
    .option(
      '--repeat <n>',
      'play the path n times without a stop, to see that time and memory stay',
      integer(1),
      1,
    )
    .option('--seed <n>', 'of the noise', integer(0), 42)
    .option(
      '--num-inference-steps <n>',
      "denoising steps of a block (default: the model's own)",
      integer(1, 1000),
    )
    .option('--guidance-scale <g>', "1: a live model makes do without (default: the model's own)", real(0))
    .addOption(compositeOption())
    .addOption(noCompositeOption())
    .addOption(manoOption())
    .addOption(handGlbOption());
  for (const option of drawOptions()) command.addOption(option);
  command
    .addHelpText(
      'after',
      `
A camera that stands is found by itself where frames are equal to the byte, as drawn ones are; of a video say --still.

Examples:
  dwm live --video data/live/train-000/videos/0000000.mp4 --still --out live.mp4
  dwm live --scene room.glb --trajectory T.json --out live.mp4
  dwm live --static s.mp4 --hands h.mp4 --still --repeat 60 --out long.mp4`,
    )
    .action(async (flags: Flags) => {
      const { json, device } = program.opts();
      const reporter = createReporter(json === true);
      await interruptible((signal) => live({ ...flags, device }, defaultModel, reporter, signal));
    });
}

/** Of a pixel of the video, at the least. */
const PIXEL_BYTES = 0.1;

async function live(
  flags: Flags,
  defaultModel: string,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { out } = flags;
  if (extname(out) !== '.mp4')
    throw new InvalidArgumentError('out', `expected a name ending in .mp4, got ${out}`);
  const prompts = [flags.prompt, flags.promptFile, flags.promptEmbeds].filter((given) => given !== undefined);
  if (prompts.length > 1)
    throw new InvalidArgumentError('prompt', 'give one of --prompt, --prompt-file, --prompt-embeds');
  const files = filesOf(flags);
  const { path, folder, settings } = await chooseModel(flags.model, reporter, defaultModel);
  const shapes = await (await familyOf(folder)).shapes(folder);
  if (!shapes.network.causal) throw new NotCausalError(path);
  const embeds = flags.promptEmbeds === undefined ? undefined : await readPromptEmbeds(flags.promptEmbeds);
  await checkText(folder, embeds, false);
  const prompt = embeds ?? (await promptOf(flags, files.caption, reporter));
  const fps = flags.fps ?? settings.fps;
  const { height = settings.height, width = settings.width } = flags;
  const needs: LiveNeeds = {
    ...{ height, width, precision: flags.precision, moves: flags.still !== true },
    numInferenceSteps: flags.numInferenceSteps ?? settings.numInferenceSteps,
    composite: flags.composite ?? settings.composite,
    textTokens: embeds?.tokens,
  };
  const readClips = async () => {
    const clips =
      'scene' in files
        ? await readClipFiles(
            { ...flags, ...files, frames: flags.numFrames, ...{ fps, height, width } },
            reporter,
            { name: '--num-frames', step: 1 },
          )
        : await readPair(files, fps, flags.numFrames);
    if ('staticVideo' in clips) tellClip(clips, { height, width, model: basename(path) }, reporter);
    return clips;
  };
  if (flags.dryRun) {
    const plan = planLive(shapes, await planTarget(flags), needs);
    await readClips();
    return reporter.result(plan, liveTable(plan));
  }
  const device = await openTunedDevice(reporter, undefined, flags.memory);
  let pipeline: DwmPipeline | undefined;
  try {
    const plan = planLive(shapes, targetOf(device), needs);
    reporter.say(livePlanLine(plan));
    const clips = await readClips();
    const pathFrames = 'staticVideo' in clips ? clips.handVideo.frames : clips.trajectory.frames.length;
    await withOutput(dirname(out), { name: basename(out, '.mp4') }, async () => {
      await checkOutput(dirname(out), pathFrames * flags.repeat * height * width * PIXEL_BYTES);
      pipeline = await DwmPipeline.load(device, folder, {
        memory: plan.choice,
        precision: flags.precision,
        onProgress: loadingProgress(reporter, signal),
      });
      const drawn = 'staticVideo' in clips ? clips : await drawVideos(device, clips, reporter, signal);
      const sized = async (video: Frames) => ({
        ...(await atSize(device, video, { frames: video.frames, height, width })),
        fps,
      });
      const videos = {
        staticVideo: await sized(drawn.staticVideo),
        handVideo: await sized(drawn.handVideo),
      };
      reporter.progress('compiling …');
      const stream = await DwmStream.open(pipeline, {
        scene: {
          ...videos.staticVideo,
          frames: 1,
          data: videos.staticVideo.data.subarray(0, height * width * 3),
        },
        ...{ prompt, seed: flags.seed, composite: flags.composite },
        ...{ numInferenceSteps: flags.numInferenceSteps, guidanceScale: flags.guidanceScale },
      });
      const source = { ...videos, times: flags.repeat, still: flags.still === true };
      const { made, rates } = await runLive(device, stream, source, signal, progress(reporter)).finally(() =>
        stream.destroy(),
      );
      const entry = {
        ...rates,
        plannedDeviceBytes: plan.bytes,
        ...{ prompt: typeof prompt === 'string' ? prompt : undefined, promptEmbeds: flags.promptEmbeds },
        ...{ model: path, seed: flags.seed, fps, precision: flags.precision, repeat: flags.repeat },
        adapter: device.caps.adapter,
        date: new Date().toISOString(),
        version: VERSION,
        command: process.argv.slice(2),
      };
      const rows = [
        ...(flags.repeat === 1
          ? [
              { label: 'static', frames: videos.staticVideo },
              { label: 'hands', frames: videos.handVideo },
            ]
          : []),
        { label: 'live', frames: { ...made, fps } },
      ];
      await writePng(`${out.slice(0, -4)}_contact_sheet.png`, contactSheet(rows, {}));
      await recordMetadata(join(dirname(out), 'metadata.json'), out, entry);
      await writeVideo(out, { ...made, fps });
      reporter.result({ video: out, ...rates }, ratesText(out, rates));
    });
  } finally {
    pipeline?.destroy();
    device.destroy();
  }
}

/** Where a run's videos come from, and the caption beside them. */
type Files = { readonly caption?: string } & (
  | { readonly scene: string[]; readonly trajectory: string }
  | { readonly static: string; readonly hands: string }
);

/** @throws InvalidArgumentError naming what is missing. */
function filesOf(flags: Flags): Files {
  const { scene, trajectory, video } = flags;
  if (scene || trajectory !== undefined) {
    if (!scene) throw new InvalidArgumentError('scene', 'is required with --trajectory');
    if (trajectory === undefined) throw new InvalidArgumentError('trajectory', 'is required with --scene');
    for (const name of ['staticVideo', 'handVideo', 'video'] as const)
      if (flags[name] !== undefined)
        throw new InvalidArgumentError(
          'scene',
          'is drawn in place of videos: leave out --video, --static and --hands',
        );
    return { scene, trajectory, caption: trajectory.replace(/\.[^.]+$/, '.txt') };
  }
  const beside =
    video === undefined ? undefined : jobOfVideo(video, { promptSubdir: 'prompts_rewrite' }, 0, '');
  const still = flags.staticVideo ?? beside?.staticVideo;
  const hands = flags.handVideo ?? beside?.handVideo;
  if (still === undefined)
    throw new InvalidArgumentError(
      'static',
      'is required, unless --scene with --trajectory, or --video, is given',
    );
  if (hands === undefined)
    throw new InvalidArgumentError(
      'hands',
      'is required, unless --scene with --trajectory, or --video, is given',
    );
  return { static: still, hands, ...(beside && { caption: beside.promptFile }) };
}

/** What is used of the videos, and what is odd about them. */
function tellClip(
  { handVideo, sources }: Awaited<ReturnType<typeof readPair>>,
  asked: { readonly height: number; readonly width: number; readonly model: string },
  reporter: Reporter,
): void {
  const aim = { ...asked, numFrames: handVideo.frames, fps: handVideo.fps };
  const { line, warnings } = clipReport(sources, handVideo, aim);
  reporter.say(line);
  for (const warning of warnings) reporter.warn(warning);
}

async function promptOf(flags: Flags, caption: string | undefined, reporter: Reporter): Promise<string> {
  if (flags.prompt !== undefined) return flags.prompt;
  if (flags.promptFile !== undefined) return readNamedPrompt(flags.promptFile);
  if (caption !== undefined && (await exists(caption))) return readPrompt(caption);
  reporter.say('no --prompt and no caption beside the hands: the model goes by the hands alone');
  return '';
}

function progress(reporter: Reporter): (made: number, total: number) => void {
  const since = performance.now();
  return (made, total) => {
    const rate = (1000 * made) / (performance.now() - since);
    reporter.progress(`live: frame ${made} of ${total}, ${rate.toFixed(1)} a second`, made === total);
  };
}

function ratesText(out: string, rates: LiveRates): string {
  const { frames, blockFrames, firstSeconds, framesPerSecond, flopsPerFrame, bytesPerFrame } = rates;
  const [early, late] = rates.deviceBytes.map(bytesText);
  const [before, after] = rates.processBytes.map(bytesText);
  return [
    `${out}: ${frames} frames in blocks of ${blockFrames}; the first after ${firstSeconds.toFixed(2)} s, then ${framesPerSecond.toFixed(1)} a second`,
    `a frame: ${(flopsPerFrame / 1e9).toFixed(2)} GFLOP, ${bytesText(bytesPerFrame)} read and written`,
    `memory from the second block to the last: device ${early} to ${late}, process ${before} to ${after}`,
  ].join('\n');
}
