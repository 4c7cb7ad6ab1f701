/**
 * What can be found wrong with a run before gigabytes of weights are read: a model, videos or captions that
 * are not there, text that the model cannot take.
 */
import { InvalidFileError, type ModelFolder } from '@dwm/core-tensor';
import { openDirectory } from '@dwm/core-tensor/node';
import { openLora, readJson, readTransformerConfig } from '@dwm/dwm-model';
import { exists } from './files.ts';
import type { TextEmbeds } from './inputs.ts';
import type { Job } from './jobs.ts';

/** The folder of a model. A hub id in its place (experiment files name one) gets the command that fetches it. */
export async function openModel(path: string): Promise<ModelFolder> {
  if (!(await exists(path))) {
    throw new InvalidFileError(
      path,
      'no such folder; give --model the folder of a model, or fetch one: dwm download <id> --out <dir>',
    );
  }
  return openDirectory(path);
}

/** The folder of fine-tuned weights, once the headers of its files are known to be sound. */
export async function openLoraFolder(path: string): Promise<ModelFolder> {
  const folder = await openDirectory(path);
  const { lora, whole } = await openLora(folder);
  await lora.close();
  await whole?.close();
  return folder;
}

/** @throws InvalidFileError for the first conditioning video or caption that is not there. */
export async function checkJobFiles(jobs: readonly Job[], needCaption: boolean): Promise<void> {
  for (const { staticVideo, handVideo, promptFile } of jobs) {
    const needed = [
      [staticVideo, 'the static video'],
      [handVideo, 'the hand video'],
      ...(needCaption && promptFile ? [[promptFile, 'the prompt, or pass --use-empty-prompts']] : []),
    ];
    for (const [path, what] of needed) {
      if (!(await exists(path))) throw new InvalidFileError(path, `no such file; expected ${what}`);
    }
  }
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
  const encoder = await folder.exists('text_encoder/config.json');
  if (!embeds) {
    if (encoder) return;
    throw new InvalidFileError(
      `${folder.name}/text_encoder`,
      'is missing, so this model reads no prompts; pass --prompt-embeds with embeddings instead',
    );
  }
  const { json, file } = await readJson(folder, 'transformer/config.json');
  const { text_embed_dim: dim } = readTransformerConfig(json, file);
  if (embeds.dim !== dim) {
    throw new InvalidFileError(
      embeds.file,
      `prompt_embeds: expected [1, tokens, ${dim}], as ${file} has text_embed_dim ${dim}; got [1, ${embeds.tokens}, ${embeds.dim}]`,
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
