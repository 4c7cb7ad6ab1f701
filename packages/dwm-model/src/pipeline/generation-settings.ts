/**
 * What a model was made for: size, length and sampling, in `generation.json` beside its parts. The published models
 * have no such file; theirs are the original's defaults.
 */
import { InvalidFileError, type ModelFolder } from '@dwm/core-tensor';
import * as z from 'zod';
import { readConfig, readJson } from '../weights/config.ts';
import { DEFAULTS } from './options.ts';

const count = z.number().int().positive();

const schema = z.object({
  /** Pixels. */
  height: count.optional(),
  width: count.optional(),
  /** 4k + 1. */
  num_frames: count.optional(),
  fps: z.number().positive().optional(),
  num_inference_steps: count.max(1000).optional(),
  guidance_scale: z.number().min(0).optional(),
});

export interface GenerationSettings {
  readonly height: number;
  readonly width: number;
  readonly numFrames: number;
  readonly fps: number;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
}

const FPS = 8;

/** @throws InvalidFileError naming the field that is unknown or out of range. */
export async function readGenerationSettings(folder: ModelFolder): Promise<GenerationSettings> {
  const { numFrames, height, width, numInferenceSteps, guidanceScale } = DEFAULTS;
  const originals = { numFrames, height, width, fps: FPS, numInferenceSteps, guidanceScale };
  if (!(await folder.exists('generation.json'))) return originals;
  const { json, file } = await readJson(folder, 'generation.json');
  const own = readConfig(schema, json, file);
  const settings = {
    numFrames: own.num_frames ?? numFrames,
    height: own.height ?? height,
    width: own.width ?? width,
    fps: own.fps ?? FPS,
    numInferenceSteps: own.num_inference_steps ?? numInferenceSteps,
    guidanceScale: own.guidance_scale ?? guidanceScale,
  };
  if (settings.numFrames % 4 !== 1) {
    throw new InvalidFileError(
      file,
      `num_frames: expected 4k + 1 frames (1, 5, … 49), got ${settings.numFrames}`,
      { field: 'num_frames' },
    );
  }
  return settings;
}
