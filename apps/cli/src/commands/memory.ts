/** `dwm memory`: what a run takes on a device, stage by stage, from configurations and headers alone. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { cacheKind, DEFAULTS } from '@dwm/dwm-model';
import { PLAN_DEVICES, planClips, readModelShapes } from '@dwm/dwm-model/memory';
import { type Command, Option } from 'commander';
import { givenLora, openFineTuned, withTransformer } from '../generate/check.ts';
import { chooseModel } from '../generate/default-model.ts';
import { modelFolder } from '../hub-folder.ts';
import { planTable } from '../memory/table.ts';
import { planTarget } from '../memory/target.ts';
import { createReporter } from '../report.ts';
import {
  addShortcuts,
  inSteps,
  integer,
  memoryOption,
  real,
  type ShortcutFlags,
  shortcutsOf,
} from './options.ts';

interface Flags extends ShortcutFlags {
  model?: string;
  memory?: number;
  numFrames?: number;
  height?: number;
  width?: number;
  numInferenceSteps?: number;
  guidanceScale?: number;
  precision: 'f32' | 'f16';
  lora?: true | string[];
  promptEmbeds?: true;
  tiling?: boolean;
}

/** What is planned with `--lora`, alone or with folders. */
async function withLoras(base: ModelFolder, given: Flags['lora']) {
  if (given === undefined) return { shapes: await readModelShapes(base) };
  // One that is merged is read a layer at a time.
  if (given === true) return { shapes: await readModelShapes(base), loras: { count: 1, bytes: 0 } };
  const flags = await Promise.all(given.map(givenLora));
  const { loras, ...tuned } = await openFineTuned(flags, undefined);
  const shapes = await readModelShapes(withTransformer(base, tuned));
  return loras.length > 0 ? { shapes, loras: await shapes.loras(loras) } : { shapes };
}

export function addMemory(program: Command): void {
  const command = program
    .command('memory')
    .option('--model <dir>', 'folder of a model; else models/dwm-tiny')
    .addOption(memoryOption())
    .option(
      '--num-frames <n>',
      "4k + 1 (default: the model's own)",
      inSteps(1, 4, '4k + 1 frames: 1, 5, 9, … 49'),
    )
    .option('--height <pixels>', 'multiple of 16', inSteps(16, 16, 'a multiple of 16'))
    .option('--width <pixels>', 'multiple of 16', inSteps(16, 16, 'a multiple of 16'))
    .option('--num-inference-steps <n>', 'denoising steps', integer(1, 1000))
    .option('--guidance-scale <g>', 'off at 1, which halves the work', real(0))
    .addOption(
      new Option('--precision <type>', 'multiply in this type').choices(['f32', 'f16']).default('f32'),
    )
    .option(
      '--lora [dir...]',
      'a LoRA is merged; several, and those beside quantized weights, count by their files',
    )
    .option('--prompt-embeds', 'embeddings are given, and no text encoder is needed')
    .option('--tiling', 'the VAE in tiles')
    .option('--no-tiling', 'the VAE in whole frames where they fit');
  addShortcuts(command)
    .addHelpText(
      'after',
      `
No weight is read. --device also takes a name here: ${PLAN_DEVICES.join(', ')}.
What does not fit is refused, with the numbers and what would make it fit.
Examples:
  dwm memory --model base --device rtx4090 --memory 12GB
  dwm memory --model base --num-frames 25 --json`,
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      const model = flags.model === undefined ? undefined : await modelFolder(flags.model);
      const { path, folder: base, settings } = await chooseModel(model, reporter);
      const { shapes, loras } = await withLoras(base, flags.lora);
      if (flags.lora === true && !shapes.quantized) {
        throw new InvalidArgumentError(
          'lora',
          'stays beside quantized weights; name its folder, so that its bytes are known',
        );
      }
      const { device } = program.opts();
      const shortcuts = shortcutsOf(flags);
      const plan = await planClips(shapes, await planTarget({ device, memory: flags.memory }), {
        numFrames: flags.numFrames ?? settings.numFrames ?? DEFAULTS.numFrames,
        height: flags.height ?? settings.height ?? DEFAULTS.height,
        width: flags.width ?? settings.width ?? DEFAULTS.width,
        numInferenceSteps:
          flags.numInferenceSteps ?? settings.numInferenceSteps ?? DEFAULTS.numInferenceSteps,
        guided: (flags.guidanceScale ?? settings.guidanceScale ?? DEFAULTS.guidanceScale) > 1,
        precision: flags.precision,
        encodesText: flags.promptEmbeds !== true,
        loras,
        tiling: flags.tiling,
        cache: cacheKind(shortcuts),
        cfgSkipRatio: shortcuts.cfgSkipRatio,
      });
      reporter.result(plan, await planTable(plan, path));
    });
}
