/** `dwm generate`: conditioning videos and a prompt in, interaction videos out; one clip or a whole list. */
import { basename, dirname } from 'node:path';
import { withOutput } from '@dwm/core-tensor/node';
import { DEFAULTS } from '@dwm/dwm-model';
import { PLAN_DEVICES } from '@dwm/dwm-model/memory';
import { type Command, Option } from 'commander';
import { ABLATIONS } from '../generate/ablate.ts';
import { readAsked } from '../generate/asked.ts';
import { askedJobs, unmadeJobs } from '../generate/asked-jobs.ts';
import { checkFlags, cutsOf } from '../generate/check-flags.ts';
import { checkRun } from '../generate/checked-run.ts';
import { DEFAULT_MODEL } from '../generate/default-model.ts';
import { tellPlan } from '../generate/dry-run.ts';
import { type Given, isMany } from '../generate/flags.ts';
import { shareFrom, WHOLE } from '../generate/jobs.ts';
import { makeList } from '../generate/make-list.ts';
import { makeShared } from '../generate/make-shared.ts';
import { shareName } from '../generate/outputs.ts';
import { runRecord } from '../generate/records.ts';
import { interruptible } from '../interrupt.ts';
import {
  fitOption,
  handGlbOption,
  ignoreDistortionOption,
  manoOption,
  sceneScaleOption,
  sceneUpOption,
} from '../render/options.ts';
import { createReporter, type Reporter } from '../report.ts';
import { workerFrom, workerOption } from '../work/claim.ts';
import {
  addShortcuts,
  compositeOption,
  inSteps,
  integer,
  memoryOption,
  noCompositeOption,
  real,
} from './options.ts';

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

/** Help on the default of an option that a model may set. */
const orElse = (original: number) => `(default: the model's own, else ${original})`;

async function generate(
  given: Given,
  defaultModel: string,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const asking = await readAsked(given, defaultModel, reporter, signal);
  const { asked, family } = asking;
  checkFlags(asked);
  const worker = asked.datasetFile
    ? workerFrom(asked, asked.outputDir!, 'generate', reporter, cutsOf(asked))
    : undefined;
  const share = asked.datasetFile && !worker ? shareFrom(asked, process.env) : WHOLE;
  const { jobs, total, ...told } = await askedJobs(asked, share, family, reporter);
  if (jobs.length === 0) return reporter.result({ clips: [] }, 'nothing to do');
  const makeAll = async () => {
    const todo = worker ? jobs : await unmadeJobs(jobs, asked, reporter);
    if (todo.length === 0) return reporter.result({ clips: [] }, 'nothing to do');
    const run = await checkRun({ ...asking, asked: { ...asked, ...told } }, defaultModel, worker, reporter);
    const { flags } = run;
    // Clips that are shared or fetched are looked at by whoever makes them.
    if (flags.dryRun && (worker || flags.remote)) return tellPlan(run, reporter);
    const context = { run, share, record: runRecord(flags, share, total), reporter, signal };
    return worker ? makeShared(worker, todo, context) : makeList(todo, context);
  };
  if (worker) return worker.beside(makeAll);
  const [{ name }] = jobs;
  const [out, what] = isMany(asked)
    ? [asked.outputDir!, shareName(share) || undefined]
    : [dirname(name), basename(name)];
  await withOutput(out, { name: what }, makeAll);
}
