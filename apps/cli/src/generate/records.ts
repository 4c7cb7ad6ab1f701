/** How a run and its clips were made, for `metadata.json`. */
import { dirname, join } from 'node:path';
import type { Generated } from '@dwm/dwm-model';
import { VERSION } from '../version.ts';
import { loraRecord } from './check.ts';
import { type Flags, isMany } from './flags.ts';
import type { TextEmbeds } from './inputs.ts';
import { chunkBounds, type Job, type Share } from './jobs.ts';
import type { Opened } from './open-on-device.ts';

/** What is true of the whole run, under the keys of the original's `metadata.json`. */
export function runRecord(flags: Flags, { chunk, shard }: Share, total: number): Record<string, unknown> {
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
export const runFile = (flags: Flags, first: Job): string =>
  join(isMany(flags) ? flags.outputDir! : dirname(first.name), 'metadata.json');

/** A clip's files, under the original's keys. */
export const filesRecord = (job: Job, flags: Flags): Record<string, unknown> => ({
  video: job.truth ?? null,
  static_video: job.staticVideo,
  hand_video: job.handVideo,
  prompt_path: flags.promptFile ?? (flags.prompt === undefined ? (job.promptFile ?? null) : null),
});

/** A clip that was made, and what it took. */
interface MadeClip {
  readonly prompt: string | TextEmbeds;
  readonly hasTruth: boolean;
  readonly generated: Generated;
  /** That were expected on the device. */
  readonly plannedBytes: number;
  readonly seconds: number;
}

/**
 * What it takes to make the clip again.
 * @param settings that the pipeline was given.
 */
export function clipRecord(
  settings: Readonly<Record<string, unknown>>,
  flags: Flags,
  job: Job,
  { device, pipeline }: Opened,
  { prompt, hasTruth, generated, plannedBytes, seconds }: MadeClip,
): Record<string, unknown> {
  return {
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
    truth: hasTruth ? job.truth : undefined,
    timesteps: generated.timesteps,
    guidance: generated.guidance,
    calculated: generated.calculated,
    adapter: device.caps.adapter,
    frames: generated.frames,
    plannedDeviceBytes: plannedBytes,
    peakDeviceBytes: device.memory.peak,
    seconds,
    date: new Date().toISOString(),
    version: VERSION,
    /** Relative paths above and in the command start here. */
    workingDirectory: process.cwd(),
    command: process.argv.slice(2),
  };
}
