/**
 * What a model was made for: size, length and sampling, in `generation.json` beside its parts. The published models
 * have no such file; theirs are the original's defaults.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import * as z from 'zod';
import { familyOf } from '../families/index.ts';
import { readConfig, readJson } from '../weights/config.ts';

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
  composite: z.boolean().optional(),
});

/** How a model is run where nobody says otherwise: size in pixels, frames a second, steps, guidance. */
export interface RunSettings {
  readonly height: number;
  readonly width: number;
  readonly numFrames: number;
  readonly fps: number;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  readonly composite: boolean;
}

/**
 * What a model says of itself: nothing, where it has no `generation.json`.
 * @throws InvalidFileError naming the field that is unknown or out of range.
 */
export async function readOwnRunSettings(folder: ModelFolder): Promise<Partial<RunSettings>> {
  if (!(await folder.exists('generation.json'))) return {};
  const { json, file } = await readJson(folder, 'generation.json');
  const { num_frames, num_inference_steps, guidance_scale, ...own } = readConfig(schema, json, file);
  if (num_frames !== undefined && num_frames % 4 !== 1) {
    throw new InvalidFileError(file, `num_frames: expected 4k + 1 frames (1, 5, … 49), got ${num_frames}`, {
      field: 'num_frames',
    });
  }
  return {
    ...own,
    ...(num_frames !== undefined && { numFrames: num_frames }),
    ...(num_inference_steps !== undefined && { numInferenceSteps: num_inference_steps }),
    ...(guidance_scale !== undefined && { guidanceScale: guidance_scale }),
  };
}

/**
 * The model's own settings, and those of its family's original where it says nothing.
 * @throws as `readOwnRunSettings`.
 */
export async function readRunSettings(folder: ModelFolder): Promise<RunSettings> {
  const { defaults } = await familyOf(folder);
  const { numFrames, height, width, fps, numInferenceSteps, guidanceScale } = defaults;
  const originals = { numFrames, height, width, fps, numInferenceSteps, guidanceScale, composite: false };
  return { ...originals, ...(await readOwnRunSettings(folder)) };
}
