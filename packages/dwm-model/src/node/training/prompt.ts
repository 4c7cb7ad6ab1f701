/** What a validation clip's prompt is: its caption, or embeddings where the model has no text encoder. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { PromptEmbeds } from '../../pipeline/options.ts';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import type { Sample } from './dataset.ts';
import { encodedFile, readEmbeds } from './encoded.ts';
import { readCaption } from './encoder.ts';

/** What a sample's clip is generated with: its caption, or its embeddings where the model reads no text. */
export async function promptOf(pipeline: DwmPipeline, sample: Sample): Promise<string | PromptEmbeds> {
  if (pipeline.hasTextEncoder) return readCaption(sample.prompt);
  const file = await encodedFile(sample.promptEmbeds);
  if (!file) {
    throw new InvalidFileError(
      `${sample.promptEmbeds}.safetensors`,
      'no such file; the model has no text encoder',
    );
  }
  const { shape, values } = await readEmbeds(file, pipeline.network.textWidth);
  return { prompt: values, tokens: shape[0] };
}
