/** The prompt as the transformer reads it: embedded by the model's text encoder, or embeddings that are given. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { PromptEmbeds } from './options.ts';
import type { PipelineParts } from './parts.ts';

/** Embeddings [negative, positive] or [positive], as many rows each. */
export interface EmbeddedText {
  readonly rows: Float32Array;
  readonly tokens: number;
}

/**
 * Embeddings of prompts, one row each: [prompts, tokens, dim].
 * @throws InvalidArgumentError when the model folder has no text encoder.
 */
export async function encodePrompts(
  { text, network, precision }: PipelineParts,
  prompts: readonly string[],
): Promise<Float32Array> {
  if (!text) {
    throw new InvalidArgumentError(
      'prompt',
      'this model folder has no text_encoder; pass embeddings instead (`promptEmbeds`)',
    );
  }
  return text.encode(prompts, network.textTokens, precision);
}

/** Rows that the transformer reads of embeddings of `tokens` rows, or of a prompt. */
export const textRows = ({ family, network }: PipelineParts, tokens = network.textTokens): number =>
  family.padsText ? network.textTokens : tokens;

/** Rows of embeddings: [negative, positive], or the positive one alone. */
export async function embedText(
  parts: PipelineParts,
  prompt: string | PromptEmbeds,
  negative: string,
  guided: boolean,
): Promise<EmbeddedText> {
  const { text, family, network } = parts;
  if (typeof prompt === 'string') {
    const rows = await encodePrompts(parts, guided ? [negative, prompt] : [prompt]);
    return { rows, tokens: network.textTokens };
  }
  const dim = network.textWidth;
  const { tokens } = prompt;
  if (prompt.prompt.length !== tokens * dim) {
    throw new InvalidArgumentError(
      'promptEmbeds',
      `prompt_embeds: expected [1, ${tokens}, ${dim}] for this model, got ${prompt.prompt.length} values`,
    );
  }
  const rowsOfText = textRows(parts, tokens);
  if (rowsOfText < tokens) {
    throw new InvalidArgumentError(
      'promptEmbeds',
      `prompt_embeds: this model reads ${rowsOfText} tokens at most, got ${tokens}`,
    );
  }
  /** With zeros beyond. */
  const padded = (...given: Float32Array[]) => {
    const all = new Float32Array(given.length * rowsOfText * dim);
    for (const [i, values] of given.entries()) all.set(values, i * rowsOfText * dim);
    return { rows: all, tokens: rowsOfText };
  };
  if (!guided) return padded(prompt.prompt);
  const low = prompt.negative ?? (text ? await encodePrompts(parts, [negative]) : undefined);
  if (!low) {
    throw new InvalidArgumentError(
      'promptEmbeds',
      'negative_prompt_embeds is missing, which guidance above 1 needs; add it, or set `guidanceScale: 1`',
    );
  }
  // Encoded here they have all their rows already.
  if (!prompt.negative && family.padsText) return padded(low, prompt.prompt);
  if (low.length !== prompt.prompt.length) {
    throw new InvalidArgumentError(
      'promptEmbeds',
      `negative_prompt_embeds: expected ${prompt.prompt.length} values as in prompt_embeds, got ${low.length}`,
    );
  }
  return padded(low, prompt.prompt);
}
