/** One question to a chat endpoint that speaks OpenAI's form: llama.cpp's server, vLLM, Ollama and their like. */
import { DwmError } from '@dwm/core-tensor';
import { isObject } from '@dwm/core-tensor/files';

export interface Endpoint {
  /** Base URL, up to `/v1`. */
  readonly url: string;
  readonly model: string;
  /** Sent to this endpoint alone. */
  readonly key?: string;
  readonly temperature: number;
  readonly maxTokens: number;
}

export type Content =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image_url'; readonly image_url: { readonly url: string } };

export interface Message {
  readonly role: 'system' | 'user';
  readonly content: string | readonly Content[];
}

/** A model on a processor takes its time over sixteen pictures. */
const TIMEOUT_MS = 20 * 60_000;

/** The endpoint cannot be used at all: asking it again, or about another clip, is of no use. */
export class EndpointError extends DwmError {
  constructor(url: string, problem: string) {
    super('endpoint', `${url}: ${problem}; check --endpoint and --model-name`, { url });
  }
}

/**
 * The text of the answer.
 * @throws EndpointError where nobody answers, or the question is refused; DwmError for an answer of another form.
 */
export async function ask(
  endpoint: Endpoint,
  messages: readonly Message[],
  signal: AbortSignal,
): Promise<string> {
  const url = `${endpoint.url.replace(/\/+$/, '')}/chat/completions`;
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      // The question, and the key, go nowhere else.
      redirect: 'error',
      headers: {
        'content-type': 'application/json',
        ...(endpoint.key && { authorization: `Bearer ${endpoint.key}` }),
      },
      body: JSON.stringify({
        model: endpoint.model,
        messages,
        temperature: endpoint.temperature,
        top_p: 1,
        max_tokens: endpoint.maxTokens,
      }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
  } catch (error) {
    signal.throwIfAborted();
    const { cause, message } = error as Error & { cause?: Error };
    throw new EndpointError(url, `does not answer (${cause?.message || message})`);
  }
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    signal.throwIfAborted();
    throw new DwmError('endpoint', `${url}: the answer broke off (${(error as Error).message})`, { url });
  }
  // Some servers repeat a key that they do not like.
  if (endpoint.key) text = text.replaceAll(endpoint.key, '…');
  if (response.status >= 500) throw new DwmError('endpoint', `${url}: answered ${response.status}`, { url });
  if (!response.ok) throw new EndpointError(url, `answered ${response.status}: ${text.slice(0, 200)}`);
  const content = contentOf(text);
  if (content === undefined)
    throw new DwmError('endpoint', `${url}: the answer has no choices[0].message.content`, { url });
  return content;
}

function contentOf(text: string): string | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    const [choice]: unknown[] = isObject(answer) && Array.isArray(answer.choices) ? answer.choices : [];
    const message = isObject(choice) ? choice.message : undefined;
    return isObject(message) && typeof message.content === 'string' ? message.content : undefined;
  } catch {
    return undefined;
  }
}
