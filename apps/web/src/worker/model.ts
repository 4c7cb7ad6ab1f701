/** The loaded model with what the page needs to know of it, and the size of run that it was made for. */
import type { Device, Precision } from '@dwm/core-tensor';
import { type ModelFolder, openSafetensors, toFloat32 } from '@dwm/core-tensor/files';
import { DwmPipeline, knowsOnly, type PromptEmbeds, readRunSettings } from '@dwm/dwm-model';
import {
  type MemoryChoice,
  planClips,
  RunTooLargeError,
  readModelShapes,
  targetOf,
} from '@dwm/dwm-model/memory';
import type { ModelInfo, ModelProgress, Settings } from './protocol.ts';
import { messagesIn } from './serve.ts';

export interface LoadedModel {
  readonly pipeline: DwmPipeline;
  readonly info: ModelInfo;
  /** What a run is told in place of a prompt, where there is no text encoder. */
  readonly embeds: PromptEmbeds | undefined;
}

/** The least that a run can be asked for. */
const SMALLEST = { numFrames: 5, height: 32, width: 32 };

const precisionOf = ({ caps }: Device): Precision =>
  caps.features.f16 && caps.adapter.kind === 'hardware' ? 'f16' : 'f32';

/**
 * How a model is put on the device so that its own runs fit in `limit` bytes, or else its smallest: from configurations
 * and headers alone.
 * @throws RunTooLargeError, with what would fit, where not even those do.
 */
export async function memoryFor(
  device: Device,
  folder: ModelFolder,
  lora: ModelFolder | undefined,
  limit: number,
): Promise<MemoryChoice> {
  const shapes = await readModelShapes(folder);
  const { guidanceScale, ...settings } = await readRunSettings(folder);
  const target = { ...targetOf(device), budget: limit - device.memory.allocated };
  const needs = {
    ...{ ...settings, guided: guidanceScale > 1, precision: precisionOf(device), encodesText: true },
    // Merged, whatever its size.
    ...(lora && { loras: { count: 1, bytes: 0 } }),
  };
  const plan = planClips(shapes, target, needs).catch((error) => {
    if (!(error instanceof RunTooLargeError)) throw error;
    return planClips(shapes, target, { ...needs, ...SMALLEST });
  });
  return (await plan).choice;
}

interface LoadModelOptions {
  readonly lora?: ModelFolder | undefined;
  /** As `memoryFor` has it; all stays on the device if left out. */
  readonly memory?: MemoryChoice;
  readonly report?: (progress: ModelProgress) => void;
  readonly signal?: AbortSignal;
}

/** @throws InvalidFileError naming file and field; the signal's reason. */
export async function loadModel(
  device: Device,
  folder: ModelFolder,
  { lora, memory, report, signal }: LoadModelOptions = {},
): Promise<LoadedModel> {
  const before = device.memory.allocated;
  const pipeline = await DwmPipeline.load(device, untilAborted(folder, signal), {
    ...(lora && { lora: untilAborted(lora, signal) }),
    precision: precisionOf(device),
    ...(memory && { memory }),
    onProgress: (part, done, total) => report?.({ part, done, total }),
  });
  return {
    pipeline,
    embeds: pipeline.hasTextEncoder ? undefined : await promptEmbeds(pipeline, folder),
    info: {
      name: folder.name,
      ...(lora && { lora: lora.name }),
      takesText: pipeline.hasTextEncoder,
      live: pipeline.network.causal !== undefined,
      limit: knowsOnly(folder.name),
      bytes: device.memory.allocated - before,
      settings: settingsOf(pipeline),
    },
  };
}

/** Reads nothing more once the signal is aborted: weights come in thousands of reads. */
function untilAborted(folder: ModelFolder, signal: AbortSignal | undefined): ModelFolder {
  return {
    name: folder.name,
    exists: (path) => folder.exists(path),
    async open(path) {
      const source = await folder.open(path);
      return {
        name: source.name,
        size: source.size,
        async read(offset, length, into) {
          await messagesIn();
          signal?.throwIfAborted();
          return source.read(offset, length, into);
        },
        close: async () => source.close?.(),
      };
    },
  };
}

/** What the model was made for, in the page's words. */
function settingsOf({ settings, family }: DwmPipeline): Settings {
  const { numFrames, numInferenceSteps, guidanceScale, ...same } = settings;
  const run = { frames: numFrames, steps: numInferenceSteps, guidance: guidanceScale };
  return { ...same, ...run, seed: family.defaults.seed, prompt: '' };
}

/** The embeddings that come with the model; zeros, the empty prompt of models trained without text, else. */
async function promptEmbeds(pipeline: DwmPipeline, folder: ModelFolder): Promise<PromptEmbeds> {
  const tokens = pipeline.maxPromptTokens;
  const zeros = () => new Float32Array(tokens * pipeline.network.textWidth);
  if (!(await folder.exists('prompt_embeds.safetensors')))
    return { prompt: zeros(), negative: zeros(), tokens };
  const file = await openSafetensors(await folder.open('prompt_embeds.safetensors'));
  try {
    const tensor = await file.readTensor('prompt_embeds');
    return { prompt: toFloat32(tensor), negative: zeros(), tokens: tensor.shape[1] };
  } finally {
    await file.close();
  }
}
