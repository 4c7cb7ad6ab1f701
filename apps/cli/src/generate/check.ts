/**
 * What can be found wrong with a run before gigabytes of weights are read: a model, videos or captions that
 * are not there, text that the model cannot take.
 */
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { openDirectory, openPath } from '@dwm/core-tensor/node';
import {
  closeLora,
  familyOf,
  hasLora,
  LORA_FILE,
  LORA_FILES,
  type LoraChoice,
  NON_LORA_FILE,
  openLora,
} from '@dwm/dwm-model';
import { modelFolder } from '../hub-folder.ts';
import { exists, isFile } from './files.ts';
import type { TextEmbeds } from './inputs.ts';
import type { Job } from './jobs.ts';

/**
 * The folder of a model, by its path or its hub id; what is not there gets the command that fetches it.
 * @param setting that names the model.
 */
export async function openModel(given: string, setting = '--model'): Promise<ModelFolder> {
  const path = await modelFolder(given);
  if (!(await exists(path))) {
    throw new InvalidFileError(
      path,
      `no such folder; give ${setting} the folder of a model, or fetch one: dwm download ${/^[\w.-]+\/[\w.-]+$/.test(given) ? given : '<id>'} --out <dir>`,
    );
  }
  return openDirectory(path);
}

/** Fine-tuned weights as a checkpoint has them: low-rank updates of the base, or a transformer in place of its own. */
interface FineTuned {
  readonly lora?: ModelFolder;
  readonly transformer?: ModelFolder;
}

/** Trainings of all weights of a transformer. */
const WHOLE_MODES = ['full', 'sft', 'causal', 'self_forcing'];

/**
 * What is in the folder of a checkpoint: a run's own folder, a `checkpoint-<step>` of it, or a release.
 * @param mode of the experiment; a full training's transformer counts before LoRA files, and after them otherwise.
 * @throws InvalidFileError where there is neither, or the headers of the LoRA files are not sound.
 */
export async function openCheckpointFolder(path: string, mode: string | undefined): Promise<FineTuned> {
  if (!(await exists(path)))
    throw new InvalidFileError(
      path,
      'no such file or folder; give --lora (--checkpoint-path) a LoRA file, or the folder of a checkpoint',
    );
  const folder = await openLoraPlace(path);
  const transformer = (await folder.exists('transformer/config.json')) ? folder : undefined;
  if (transformer && WHOLE_MODES.some((whole) => whole === mode)) return { transformer };
  if (!(await hasLora(folder)) && transformer) return { transformer };
  if (!(await hasLora(folder))) {
    const names = await readdir(path).catch(() => [] as string[]);
    const steps = names.flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? []).map(Number);
    const latest =
      steps.length > 0 ? `; its last checkpoint is ${join(path, `checkpoint-${Math.max(...steps)}`)}` : '';
    throw new InvalidFileError(
      join(path, LORA_FILE),
      `no such file or folder, and no transformer/ beside it${latest}; give --checkpoint-path the folder of a checkpoint`,
    );
  }
  await closeLora(await openLora(folder));
  return { lora: folder };
}

/** A LoRA of the command line, and how often it counts. */
export interface LoraFlag {
  readonly path: string;
  readonly weight: number;
}

/** `dir` or `dir:0.5`, a hub id in place of the folder too; a path that is there as a whole has no weight. */
export async function givenLora(value: string): Promise<LoraFlag> {
  const found = /^(.+):(-?\d+(?:\.\d+)?)$/.exec(value);
  if (!found || (await exists(value))) return { path: await modelFolder(value), weight: 1 };
  return { path: await modelFolder(found[1]), weight: Number(found[2]) };
}

/** As they were given, for records. */
export function loraRecord(loras: readonly LoraFlag[]): string | string[] | undefined {
  const written = loras.map(({ path, weight }) => (weight === 1 ? path : `${path}:${weight}`));
  return written.length > 1 ? written : written[0];
}

/**
 * What the checkpoints hold: LoRAs of the base, the first perhaps a transformer in its place.
 * @throws InvalidFileError as `openCheckpointFolder`, or where a later one, or one with a weight, is no LoRA.
 */
export async function openFineTuned(
  loras: readonly LoraFlag[],
  mode: string | undefined,
): Promise<{ readonly transformer?: ModelFolder; readonly loras: readonly LoraChoice[] }> {
  const found: LoraChoice[] = [];
  let transformer: ModelFolder | undefined;
  for (const [i, { path, weight }] of loras.entries()) {
    const tuned = await openCheckpointFolder(path, i === 0 ? mode : undefined);
    if (tuned.lora) found.push({ folder: tuned.lora, weight });
    else if (i > 0 || weight !== 1)
      throw new InvalidFileError(path, 'is a whole transformer, which takes no weight and comes first');
    else transformer = tuned.transformer;
  }
  return { ...(transformer && { transformer }), loras: found };
}

/**
 * The folder of a checkpoint. A LoRA file may have any name: it is named itself, or it is the only one of its folder; what
 * was trained whole lies beside it.
 */
async function openLoraPlace(path: string): Promise<ModelFolder> {
  const itself = await isFile(path);
  const place = itself ? dirname(path) : path;
  const folder = await openDirectory(place);
  if (!itself && ((await hasLora(folder)) || (await folder.exists('transformer/config.json')))) return folder;
  const others = (await readdir(place).catch(() => [] as string[])).filter(
    (name) => name.endsWith('.safetensors') && name !== NON_LORA_FILE,
  );
  const [only] = itself ? [path] : others.length === 1 ? [join(place, others[0])] : [];
  if (only === undefined) return folder;
  return {
    name: only,
    open: async (name) => (name === LORA_FILE ? openPath(only) : folder.open(name)),
    exists: async (name) =>
      name === LORA_FILE || (!LORA_FILES.some((known) => known === name) && folder.exists(name)),
  };
}

/** The base with the checkpoint's transformer in place of its own. */
export function withTransformer(
  base: ModelFolder,
  { transformer }: Pick<FineTuned, 'transformer'>,
): ModelFolder {
  if (!transformer) return base;
  const of = (path: string) => (path.startsWith('transformer/') ? transformer : base);
  return { name: base.name, open: (path) => of(path).open(path), exists: (path) => of(path).exists(path) };
}

/** Flags that name what a clip is made from. */
interface Sources {
  readonly scene?: readonly string[];
  readonly trajectory?: string;
  readonly staticVideo?: string;
  readonly handVideo?: string;
}

/**
 * @param given the flags, which errors name; what comes from a list needs none.
 * @returns captions that are not there: those prompts are empty, as in the original.
 * @throws InvalidFileError for the first conditioning video, scene or trajectory that is not there.
 */
export async function checkJobFiles(jobs: readonly Job[], given: Sources): Promise<string[]> {
  const scene = given.scene
    ? 'a scene (--scene)'
    : `the static video${given.staticVideo ? ' (--static)' : ''}`;
  const hands = given.trajectory
    ? 'a trajectory (--trajectory)'
    : `the hand video${given.handVideo ? ' (--hands)' : ''}`;
  const missing: string[] = [];
  for (const { staticVideo, handVideo, promptFile } of jobs) {
    for (const [path, what] of [
      [staticVideo, scene],
      [handVideo, hands],
    ]) {
      if (!(await exists(path))) throw new InvalidFileError(path, `no such file; expected ${what}`);
    }
    if (promptFile !== undefined && !(await exists(promptFile))) missing.push(promptFile);
  }
  return missing;
}

/**
 * Whether the model can read the prompt it will be given.
 * @param embeds what stands in for a prompt, if anything does.
 */
export async function checkText(
  folder: ModelFolder,
  embeds: TextEmbeds | undefined,
  guided: boolean,
): Promise<void> {
  const family = await familyOf(folder);
  const encoder = await family.hasText(folder);
  if (!embeds) {
    if (encoder) return;
    throw new InvalidFileError(
      `${folder.name}/text_encoder`,
      'is missing, so this model reads no prompts; pass --prompt-embeds with embeddings instead',
    );
  }
  const { width: dim, file } = await family.textWidth(folder);
  if (embeds.dim !== dim) {
    throw new InvalidFileError(
      embeds.file,
      `prompt_embeds: expected [1, tokens, ${dim}], which the transformer of ${file} reads; got [1, ${embeds.tokens}, ${embeds.dim}]`,
      { field: 'prompt_embeds', expected: dim, actual: embeds.dim },
    );
  }
  if (guided && !embeds.negative && !encoder) {
    throw new InvalidFileError(
      embeds.file,
      'negative_prompt_embeds is missing, which guidance above 1 needs; add it, or pass --guidance-scale 1',
      { field: 'negative_prompt_embeds' },
    );
  }
}
