/** `dwm live`: hands along a path into a model that looks back only, block by block, as they would move live. */
import { basename, dirname, extname } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { withOutput } from '@dwm/core-tensor/node';
import { DwmPipeline, familyOf } from '@dwm/dwm-model';
import { NotCausalError } from '@dwm/dwm-model/live';
import { type LiveNeeds, PLAN_DEVICES, planLive, targetOf } from '@dwm/dwm-model/memory';
import { type Command, Option } from 'commander';
import { checkText } from '../generate/check.ts';
import { chooseModel, DEFAULT_LIVE_MODEL } from '../generate/default-model.ts';
import { readPromptEmbeds } from '../generate/inputs.ts';
import { loadingProgress } from '../generate/progress.ts';
import { interruptible } from '../interrupt.ts';
import type { LiveFlags } from '../live/flags.ts';
import { liveFiles, promptOf, readLiveClips } from '../live/inputs.ts';
import { playAndWrite, roomForRun } from '../live/play.ts';
import { livePlanLine, liveTable } from '../memory/table.ts';
import { planTarget } from '../memory/target.ts';
import { drawOptions, handGlbOption, manoOption } from '../render/options.ts';
import { createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { compositeOption, inSteps, integer, memoryOption, noCompositeOption, real } from './options.ts';

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
    .action(async (flags: LiveFlags) => {
      const { json, device } = program.opts();
      const reporter = createReporter(json === true);
      await interruptible((signal) => live({ ...flags, device }, defaultModel, reporter, signal));
    });
}

async function live(
  flags: LiveFlags,
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
  const files = liveFiles(flags);
  const { path, folder, settings } = await chooseModel(flags.model, reporter, defaultModel);
  const shapes = await (await familyOf(folder)).shapes(folder);
  if (!shapes.network.causal) throw new NotCausalError(path);
  const embeds = flags.promptEmbeds === undefined ? undefined : await readPromptEmbeds(flags.promptEmbeds);
  await checkText(folder, embeds, false);
  const prompt = embeds ?? (await promptOf(flags, files.caption, reporter));
  const { height = settings.height, width = settings.width, fps = settings.fps } = flags;
  const size = { height, width, fps };
  const needs: LiveNeeds = {
    ...{ height, width, precision: flags.precision, moves: flags.still !== true },
    numInferenceSteps: flags.numInferenceSteps ?? settings.numInferenceSteps,
    composite: flags.composite ?? settings.composite,
    textTokens: embeds?.tokens,
  };
  const readClips = () => readLiveClips(flags, files, { ...size, model: basename(path) }, reporter);
  if (flags.dryRun) {
    const plan = planLive(shapes, await planTarget(flags), needs);
    await readClips();
    return reporter.result(plan, liveTable(plan));
  }
  const device = await openTunedDevice(reporter, undefined, flags.memory);
  try {
    const plan = planLive(shapes, targetOf(device), needs);
    reporter.say(livePlanLine(plan));
    const clips = await readClips();
    await withOutput(dirname(out), { name: basename(out, '.mp4') }, async () => {
      await roomForRun(flags, clips, size);
      const pipeline = await DwmPipeline.load(device, folder, {
        memory: plan.choice,
        precision: flags.precision,
        onProgress: loadingProgress(reporter, signal),
      });
      const run = { ...size, model: path, prompt, plannedDeviceBytes: plan.bytes };
      await playAndWrite(pipeline, flags, clips, run, reporter, signal).finally(() => pipeline.destroy());
    });
  } finally {
    device.destroy();
  }
}
