/** The model of a run on its device, with what there is to say about its LoRAs. */
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import { openPath } from '@dwm/core-tensor/node';
import { type DwmPipeline, loraRemarks } from '@dwm/dwm-model';
import { openPipeline } from '../memory/open-pipeline.ts';
import type { Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import type { CheckedRun } from './checked-run.ts';
import type { Experiment } from './experiment.ts';
import { exists } from './files.ts';
import type { Flags } from './flags.ts';
import type { Job } from './jobs.ts';
import { keptLatents } from './outputs.ts';

export interface Opened {
  readonly device: Device;
  readonly pipeline: DwmPipeline;
}

/** @throws as `openPipeline`. */
export async function openOnDevice(
  { flags, planned, loras, experiment }: CheckedRun,
  jobs: readonly Job[],
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Opened> {
  const device = await openTunedDevice(reporter, undefined, flags.memory);
  const options = {
    ...(flags.resume && { again: (await haveLatents(jobs)) ? ('all' as const) : ('some' as const) }),
    lora: loras,
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

/** Whether of every clip latents were kept. */
async function haveLatents(jobs: readonly Job[]): Promise<boolean> {
  for (const { name } of jobs) if (!(await exists(keptLatents(name)))) return false;
  return true;
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
