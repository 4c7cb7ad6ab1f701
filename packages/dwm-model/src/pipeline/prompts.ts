/** The prompt as the transformer reads it: embedded by the model's text encoder, or embeddings that are given. */
import { InvalidArgumentError, type Precision } from '@dwm/core-tensor';
import type { DenoisingNetwork, TextReader } from '../families/family.ts';
import type { PromptEmbeds } from './options.ts';

/** Embeddings [negative, positive] or [positive], as many rows each. */
export interface EmbeddedText {
  readonly rows: Float32Array;
  readonly tokens: number;
}

export class Prompts {
  readonly #reader: TextReader | undefined;
  readonly #network: DenoisingNetwork;
  readonly #padded: boolean;
  readonly #precision: Precision;

  /** @param padded whether the network always reads as many rows as it can. */
  constructor(
    reader: TextReader | undefined,
    network: DenoisingNetwork,
    padded: boolean,
    precision: Precision,
  ) {
    this.#reader = reader;
    this.#network = network;
    this.#padded = padded;
    this.#precision = precision;
  }

  /** Whether there is a text encoder. */
  get canEncode(): boolean {
    return this.#reader !== undefined;
  }

  /**
   * Embeddings of prompts, one row each: [prompts, tokens, dim].
   * @throws InvalidArgumentError when the model folder has no text encoder.
   */
  async encode(prompts: readonly string[]): Promise<Float32Array> {
    if (!this.#reader) {
      throw new InvalidArgumentError(
        'prompt',
        'this model folder has no text_encoder; pass embeddings instead (`promptEmbeds`)',
      );
    }
    return this.#reader.encode(prompts, this.#network.textTokens, this.#precision);
  }

  /** Tokens of a prompt before it is cut. */
  countTokens(prompt: string): number | undefined {
    return this.#reader?.countTokens(prompt);
  }

  destroy(): void {
    this.#reader?.destroy();
  }

  /** Rows that the transformer reads of embeddings of `tokens` rows, or of a prompt. */
  rows(tokens = this.#network.textTokens): number {
    return this.#padded ? this.#network.textTokens : tokens;
  }

  /** Rows of embeddings: [negative, positive], or the positive one alone. */
  async embed(prompt: string | PromptEmbeds, negative: string, guided: boolean): Promise<EmbeddedText> {
    if (typeof prompt === 'string') {
      const rows = await this.encode(guided ? [negative, prompt] : [prompt]);
      return { rows, tokens: this.#network.textTokens };
    }
    const dim = this.#network.textWidth;
    const { tokens } = prompt;
    if (prompt.prompt.length !== tokens * dim) {
      throw new InvalidArgumentError(
        'promptEmbeds',
        `prompt_embeds: expected [1, ${tokens}, ${dim}] for this model, got ${prompt.prompt.length} values`,
      );
    }
    const rowsOfText = this.rows(tokens);
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
    const low = prompt.negative ?? (this.#reader ? await this.encode([negative]) : undefined);
    if (!low) {
      throw new InvalidArgumentError(
        'promptEmbeds',
        'negative_prompt_embeds is missing, which guidance above 1 needs; add it, or set `guidanceScale: 1`',
      );
    }
    // Encoded here they have all their rows already.
    if (!prompt.negative && this.#padded) return padded(low, prompt.prompt);
    if (low.length !== prompt.prompt.length) {
      throw new InvalidArgumentError(
        'promptEmbeds',
        `negative_prompt_embeds: expected ${prompt.prompt.length} values as in prompt_embeds, got ${low.length}`,
      );
    }
    return padded(low, prompt.prompt);
  }
}
