/** `config.json` of a CLIP model as transformers writes it, with the defaults of its `CLIPConfig`. */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';
import { layerCount, readConfig } from '../weights/config.ts';

const count = z.int().positive();

const layers = {
  hidden_act: z.enum(['quick_gelu', 'gelu']).default('quick_gelu'),
  layer_norm_eps: z.number().nonnegative().default(1e-5),
};
const textConfig = z.object({
  ...layers,
  hidden_size: count.default(512),
  intermediate_size: count.default(2048),
  num_hidden_layers: layerCount.default(12),
  num_attention_heads: count.default(8),
  vocab_size: count.default(49408),
  max_position_embeddings: z.int().min(2).default(77),
  eos_token_id: z.int().nonnegative().default(49407),
});
const visionConfig = z.object({
  ...layers,
  hidden_size: count.default(768),
  intermediate_size: count.default(3072),
  num_hidden_layers: layerCount.default(12),
  num_attention_heads: count.default(12),
  num_channels: z.literal(3).default(3),
  image_size: count.default(224),
  patch_size: count.default(32),
});
const schema = z.object({
  model_type: z.literal('clip', {
    error:
      'expected "clip"; bring a CLIP model as transformers saves it, such as openai/clip-vit-base-patch32',
  }),
  projection_dim: count.default(512),
  text_config: textConfig.prefault({}),
  vision_config: visionConfig.prefault({}),
  // Of older files; where they are not null, transformers takes them in place of the two above.
  text_config_dict: textConfig.nullish(),
  vision_config_dict: visionConfig.nullish(),
});

/** One of the two transformers. */
export interface CLIPTower {
  readonly width: number;
  readonly hiddenWidth: number;
  readonly blocks: number;
  readonly heads: number;
  readonly activation: 'quick_gelu' | 'gelu';
  readonly eps: number;
}

/** What the network's numbers depend on. */
export interface CLIPConfig {
  /** Length of the vectors in which texts and pictures meet. */
  readonly projection: number;
  readonly text: CLIPTower & {
    readonly vocabulary: number;
    /** Most tokens of a text. */
    readonly positions: number;
    /** Stands for the whole text; see `endOfText`. */
    readonly endToken: number;
  };
  /** Pictures are square, sizes in pixels. */
  readonly vision: CLIPTower & { readonly imageSize: number; readonly patchSize: number };
}

/**
 * `readConfig` for files that list every setting of transformers' base classes, some seventy of them: keys that are not
 * in the schema, at any depth, are passed over.
 */
export function readKnown<T extends z.ZodRawShape>(
  known: z.ZodObject<T>,
  json: unknown,
  file: string,
): z.infer<z.ZodObject<T>> {
  const isObject = json !== null && typeof json === 'object' && !Array.isArray(json);
  const entries = isObject && Object.entries(json).filter(([key]) => key in known.shape);
  return readConfig(known, entries ? Object.fromEntries(entries) : json, file);
}

/** @throws InvalidFileError naming file and field, for another kind of model or a value that is not supported. */
export function readCLIPConfig(json: unknown, file: string): CLIPConfig {
  const config = readKnown(schema, json, file);
  const text = config.text_config_dict ?? config.text_config;
  const vision = config.vision_config_dict ?? config.vision_config;
  const tower = (part: 'text' | 'vision'): CLIPTower => {
    const own = { text, vision }[part];
    const headWidth = own.hidden_size / own.num_attention_heads;
    if (headWidth % 4 !== 0 || headWidth < 8 || headWidth > 128) {
      const field = `${part}_config.num_attention_heads`;
      throw new InvalidFileError(
        file,
        `${field}: ${own.num_attention_heads} heads of a hidden_size of ${own.hidden_size} are ${headWidth} wide; expected a multiple of 4 from 8 to 128`,
        { field },
      );
    }
    return {
      width: own.hidden_size,
      hiddenWidth: own.intermediate_size,
      blocks: own.num_hidden_layers,
      heads: own.num_attention_heads,
      activation: own.hidden_act,
      eps: own.layer_norm_eps,
    };
  };
  if (vision.image_size % vision.patch_size !== 0) {
    const field = 'vision_config.patch_size';
    throw new InvalidFileError(
      file,
      `${field}: ${vision.patch_size} does not divide image_size, which is ${vision.image_size}`,
      { field },
    );
  }
  return {
    projection: config.projection_dim,
    text: {
      ...tower('text'),
      vocabulary: text.vocab_size,
      positions: text.max_position_embeddings,
      endToken: text.eos_token_id,
    },
    vision: { ...tower('vision'), imageSize: vision.image_size, patchSize: vision.patch_size },
  };
}
