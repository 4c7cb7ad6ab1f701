/** What inference takes from the original's experiment YAML, named or found beside the checkpoint. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { type ExperimentFile, readExperimentFile } from '@dwm/dwm-model/node';
import { tellIgnored } from '../ignored.ts';
import type { Reporter } from '../report.ts';
import { readYamlFile } from '../yaml-file.ts';

/** Settings of the file; those that it leaves out are undefined, and then the model's own. */
export interface Experiment {
  readonly file?: string;
  /** `pipeline.type`: which kind of model. */
  readonly type?: string;
  readonly mode?: ExperimentFile['training']['mode'];
  /** Whether the static video is seen, or only its first frame. */
  readonly conditioning?: ExperimentFile['training']['conditioning_mode'];
  readonly baseModel?: string;
  readonly loraAlpha?: number;
  readonly dataRoot?: string;
  readonly promptSubdir?: string;
  readonly staticSubdir?: string;
  readonly handSubdir?: string;
  readonly height?: number;
  readonly width?: number;
  readonly numFrames?: number;
  readonly tiling?: boolean;
  /** Rate that frame positions stand for. */
  readonly modelFps?: number;
  /** The LoRA for fewer steps. */
  readonly lightx2v?: {
    readonly path?: string;
    readonly scale?: number;
    readonly mode?: string;
    readonly strict?: boolean;
    readonly outsideBlocks?: boolean;
  };
}

/** The first experiment file of a checkpoint's folder, or of the run's where the checkpoint is `checkpoint-<step>`. */
export async function findExperiment(checkpoint: string | undefined): Promise<string | undefined> {
  if (checkpoint === undefined) return undefined;
  const folder = basename(checkpoint).startsWith('checkpoint-') ? dirname(checkpoint) : checkpoint;
  const names = await readdir(folder).catch(() => [] as string[]);
  const [first] = names.filter((name) => /\.ya?ml$/.test(name)).sort();
  return first === undefined ? undefined : join(folder, first);
}

/** @throws InvalidFileError or InvalidArgumentError naming the key, or the override, that cannot be used. */
export async function readExperiment(
  file: string | undefined,
  overrides: readonly string[],
  reporter: Reporter,
): Promise<Experiment> {
  if (!file) {
    if (overrides.length > 0) throw new InvalidArgumentError('override', 'needs --experiment-config');
    return {};
  }
  const yaml = await readYamlFile(file, overrides);
  const { data, training, model, pipeline } = readExperimentFile(yaml, file);
  tellIgnored(yaml, reporter);
  const said = (section: string, key: string) =>
    (yaml as Record<string, Record<string, unknown> | undefined> | null)?.[section]?.[key] !== undefined;
  const of = <T>(section: string, key: string, value: T) => (said(section, key) ? value : undefined);
  return {
    file,
    type: pipeline.type,
    mode: training.mode,
    conditioning: training.conditioning_mode,
    baseModel: model.base_model_name_or_path ?? pipeline.base_model_name_or_path,
    loraAlpha: of('training', 'lora_alpha', training.lora_alpha),
    dataRoot: of('data', 'data_root', data.data_root),
    promptSubdir: data.prompt_subdir,
    staticSubdir: data.static_video_subdir,
    handSubdir: data.hand_video_subdir,
    height: of('data', 'height_buckets', data.height_buckets[0]),
    width: of('data', 'width_buckets', data.width_buckets[0]),
    numFrames:
      data.max_num_frames ??
      training.custom_settings.max_num_frames ??
      of('data', 'frame_buckets', data.frame_buckets[0]),
    tiling: training.custom_settings.enable_tiling,
    modelFps: pipeline.fps,
    lightx2v: {
      path: training.custom_settings.lightx2v_lora_path,
      scale: training.custom_settings.lightx2v_lora_scale,
      mode: training.custom_settings.lightx2v_compat_mode,
      strict: training.custom_settings.lightx2v_compat_strict,
      outsideBlocks: training.custom_settings.lightx2v_apply_non_block_diff,
    },
  };
}
