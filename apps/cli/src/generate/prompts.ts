/** The words that clips go with: those of the flags, or a caption each. */
import type { DwmPipeline } from '@dwm/dwm-model';
import type { Reporter } from '../report.ts';
import { exists } from './files.ts';
import type { Given } from './flags.ts';
import { readNamedPrompt, readPrompt, type TextEmbeds } from './inputs.ts';
import type { Job } from './jobs.ts';

/** Flags that give a prompt. */
export const PROMPTS = ['prompt', 'promptFile', 'promptEmbeds', 'useEmptyPrompts'] as const;

export const hasPrompt = (flags: Given): boolean => PROMPTS.some((name) => flags[name] !== undefined);

/** The prompt of all clips, where flags give one. */
export async function givenPrompt(
  { prompt, promptFile, useEmptyPrompts }: Given,
  embeds: TextEmbeds | undefined,
): Promise<string | TextEmbeds | undefined> {
  if (embeds) return embeds;
  if (useEmptyPrompts) return '';
  return promptFile === undefined ? prompt : readNamedPrompt(promptFile);
}

/** The caption of a clip; one that is not there is the empty prompt, as in the original. */
export const captionOf = async ({ promptFile }: Pick<Job, 'promptFile'>): Promise<string> =>
  promptFile !== undefined && (await exists(promptFile)) ? readPrompt(promptFile) : '';

/** @param given the prompt of all clips, where flags give one. */
export async function promptOf(
  job: Job,
  given: string | TextEmbeds | undefined,
  { promptPrefix }: Given,
): Promise<string | TextEmbeds> {
  const own = given ?? (await captionOf(job));
  return typeof own === 'string' && promptPrefix ? `${promptPrefix} ${own}`.trim() : own;
}

export function warnIfLong(prompt: string, pipeline: DwmPipeline, reporter: Reporter): void {
  const tokens = pipeline.countTokens(prompt);
  if (tokens !== undefined && tokens > pipeline.maxPromptTokens) {
    reporter.warn(`the prompt has ${tokens} tokens; the model reads the first ${pipeline.maxPromptTokens}`);
  }
}
