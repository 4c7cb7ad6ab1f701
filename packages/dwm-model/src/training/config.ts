/**
 * The original's experiment YAML, section by section, with the original's defaults for what is left out. Unknown keys
 * are refused by name, with the nearest known one; `ignoredKeys` lists those that steer PyTorch, a cluster or a
 * service, and mean nothing here.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';
import { pipelineTypes } from '../families/index.ts';
import { nearestKey } from './known-keys.ts';
import { LR_SCHEDULES } from './learning-rate.ts';

const count = z.number().int().nonnegative();
const positive = z.number().int().positive();
const share = z.number().min(0).max(1);
/** PyYAML reads `1e-4` as text, which the original turns into a number. */
const real = (number: z.ZodNumber) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^[-+.\deE]+$/.test(value) ? Number(value) : value),
    number,
  );
const flag = z.preprocess(
  // Words that PyYAML takes for booleans.
  (value) =>
    typeof value === 'string' ? ({ yes: true, on: true, no: false, off: false }[value] ?? value) : value,
  z.boolean(),
);
/** What means nothing here. */
const ignored = z.unknown().optional();
/** A list of one or more, or a single value for it. */
const list = <T extends z.ZodType>(item: T) =>
  z.union([z.array(item), item.transform((value) => [value] as z.output<T>[])]);

/** A list, and the folder that its clips are in where that is not `data_root`. */
const matchedFile = z.strictObject({ path: z.string(), root: z.string().optional() });

/**
 * A dataset list, the weight that it may name for the mix, the folder that its clips are in where that is not `data_root`, and
 * lists whose clips of the same names come in pairs with its own.
 */
const datasetFile = z.union([
  z.string().transform((path): DatasetFile => ({ path, matched: [] })),
  z.strictObject({
    path: z.string(),
    weight: z.number().positive().optional(),
    root: z.string().optional(),
    matched: list(matchedFile).default([]),
  }),
]);
interface DatasetFile {
  path: string;
  weight?: number;
  root?: string;
  matched: z.output<typeof matchedFile>[];
}

const customSettings = z.strictObject({
  mixed_precision: z.preprocess(
    (value) => (value === false || value === null ? 'no' : value),
    z.enum(['no', 'fp16', 'bf16']).default('no'),
  ),
  gradient_checkpointing: flag.default(false),
  load_tensors: flag.default(true),
  /** True is refused: a flipped clip has its hands exchanged. */
  random_flip: z.preprocess(
    (value) => value !== undefined && value !== null && value !== false && value !== 0,
    z.boolean().default(false),
  ),
  /** Frames of a clip. */
  max_num_frames: positive.optional(),
  /** Of inference and of validation videos: latents that are trained on are never tiled. */
  enable_tiling: flag.default(false),
  enable_slicing: ignored,
  allow_tf32: ignored,
  /** Of Wan: the LoRA for 4 steps that inference merges. */
  lightx2v_lora_path: z.string().optional(),
  lightx2v_lora_scale: z.number().optional(),
  lightx2v_compat_mode: z.enum(['auto', 'force_compat', 'off']).optional(),
  lightx2v_compat_strict: flag.optional(),
  lightx2v_apply_non_block_diff: flag.optional(),
  /** 0 for none but the last. */
  checkpointing_steps: count.default(500),
  /** Checkpoints kept besides the best; null for all. */
  checkpoints_total_limit: positive.nullable().default(null),
});

const training = z.strictObject({
  /** `sft`, Wan's: every weight of its transformer. */
  mode: z
    .enum(['lora', 'full', 'sft', 'vae', 'decoder', 'inpaint', 'causal', 'self_forcing'])
    .default('lora'),
  /** Modes `causal` and `self_forcing`: how the transformer looks back; as the base model does, if left out. */
  causal: z
    .strictObject({ block_frames: positive, window: positive, sink: count.default(1) })
    .nullable()
    .default(null),
  /**
   * Mode `causal`: the last of the timesteps that the clean blocks are noised to which the others see, since what a
   * model makes is never quite right.
   */
  causal_history_timestep: count.max(999).default(0),
  /** Mode `inpaint`: share of samples in which nothing is hidden, as in DWM. */
  inpaint_identity_prob: share.default(0.5),
  /** Mode `vae`: the distance that the reconstruction is measured by, and the weights of its other terms. */
  vae_loss: z.enum(['l1', 'mse']).default('l1'),
  vae_kl_weight: z.number().nonnegative().default(1e-6),
  vae_gradient_weight: z.number().nonnegative().default(1),
  /** Mode `vae`: frames, height and width of the random crops that it trains on; null for whole clips. */
  vae_crop: z.tuple([positive, positive, positive]).nullable().default(null),
  /** Mode `vae`: only the decoder learns, so that latents made before, and all that learnt from them, stay of use. */
  vae_freeze_encoder: z.boolean().default(false),
  /** Mode `decoder`: share of samples whose latents are what the transformer predicts. */
  decoder_generated_prob: share.default(0.5),
  /** Mode `decoder`: weights of edges as strong as the truth's, of the discriminator's features, and of its verdict. */
  decoder_contrast_weight: z.number().nonnegative().default(1),
  decoder_feature_weight: z.number().nonnegative().default(0.1),
  decoder_adversarial_weight: z.number().nonnegative().default(0.2),
  learning_rate: real(z.number().nonnegative()).default(1e-4),
  batch_size: positive.default(1),
  max_train_steps: positive.default(15_000),
  gradient_accumulation_steps: positive.default(1),
  /** `adamw8bit` keeps the moments in 8 bits; `sgd` is for tests. */
  optimizer: z.preprocess(
    (name) => (typeof name === 'string' ? name.toLowerCase().replaceAll(/[_-]/g, '') : name),
    z.enum(['adamw', 'adamw8bit', 'sgd']).default('adamw'),
  ),
  /** Keeps a running average of the weights, for validation and export; null for none. */
  ema_decay: z.number().gt(0).lt(1).nullable().default(null),
  weight_decay: real(z.number().nonnegative()).default(0),
  lr_scheduler: z.enum(LR_SCHEDULES).default('cosine'),
  lr_warmup_steps: count.default(0),
  lr_num_cycles: z.number().positive().default(1),
  max_grad_norm: z.number().positive().default(1),
  beta1: real(share).default(0.9),
  beta2: real(share).default(0.999),
  epsilon: z.number().positive().default(1e-8),
  seed: count.default(42),
  lora_rank: positive.default(64),
  lora_alpha: z.number().positive().default(64),
  /**
   * Wan: what an image-to-video network gets in place of a picture's features. `none` is what the original trains with: the
   * first rows of the text take their place. `zeros` is what it generates with.
   */
  clip_features: z.enum(['none', 'zeros']).default('none'),
  /** Wan: all of the static video is seen, or only its first frame, which generates but is not trained here. */
  conditioning_mode: z.enum(['dwm', 'i2v']).default('dwm'),
  lora_target_modules: z.array(z.string()).default(['to_q', 'to_k', 'to_v', 'to_out.0']),
  /** Regular expressions that a name must match from its start. */
  trainable_parameter_patterns: z.array(z.string()).default([]),
  frozen_parameter_patterns: z.array(z.string()).default([]),
  prompt_dropout_prob: share.default(0),
  /** Share of samples that have the caption of another clip: what is seen is still what their hands do. */
  prompt_swap_prob: share.default(0),
  hand_dropout_prob: share.default(0),
  /** Share of samples that show a scene without hands: the static video is then what happens. */
  no_hands_prob: share.default(0),
  /** First and last of the timesteps that are drawn from, all as often. */
  timestep_range: z
    .tuple([count.max(999), count.max(999)])
    .refine(([first, last]) => first <= last, 'expected the first timestep before the last')
    .default([0, 999]),
  /** How many times more than the rest counts what differs from the static video. */
  change_weight: z.number().nonnegative().default(0),
  /** Error of a latent from which on the loss is linear in it (pseudo-Huber); 0 squares all. */
  huber_c: z.number().nonnegative().default(0),
  resume_from_checkpoint: z.string().nullable().default(null),
  slurm_job_id: ignored,
  custom_settings: customSettings.prefault({}),
});

const data = z.strictObject({
  data_root: z.string().default('.'),
  /** Links may lead out of the data root. */
  follow_links: flag.default(false),
  dataset_file: list(datasetFile).default([]),
  validation_set: list(z.string()).default([]),
  height_buckets: list(positive).default([480]),
  width_buckets: list(positive).default([720]),
  /** Counts where `max_num_frames` is left out. */
  frame_buckets: list(positive).default([49]),
  /** Of Wan: frames of a clip, before `custom_settings.max_num_frames`. */
  max_num_frames: positive.optional(),
  num_validation_videos: count.default(2),
  max_validation_videos: count.default(4),
  /** 0 for none between start and end. */
  validation_steps: count.default(0),
  validation_num_inference_steps: positive.optional(),
  validation_guidance_scale: z.number().nonnegative().optional(),
  validation_use_dynamic_cfg: flag.default(false),
  validation_fps: z.number().positive().default(8),
  init_validation_steps: ignored,
  dataloader_num_workers: ignored,
  pin_memory: ignored,
  validation_prompt_separator: ignored,
  use_gray_hand_videos: z.literal(false).default(false),
  split_hands: z.literal(false).default(false),
  fun_inp_i2v_latents_subdir: ignored,
  video_subdir: z.string().default('videos'),
  static_video_subdir: z.string().default('videos_static'),
  hand_video_subdir: z.string().default('videos_hands'),
  prompt_subdir: z.string().default('prompts_rewrite'),
  video_latents_subdir: z.string().default('video_latents'),
  static_video_latents_subdir: z.string().default('static_video_latents'),
  hand_video_latents_subdir: z.string().default('hand_video_latents'),
  prompt_embeds_subdir: z.string().default('prompt_embeds_rewrite'),
});

/** Of those that the original's loader takes, what a family here is. */
const pipelineType = z.string().refine((type) => pipelineTypes().includes(type), {
  error: ({ input }) => `expected one of ${pipelineTypes().join(', ')}; got ${input}`,
});

const pipeline = z.strictObject({
  type: pipelineType.optional(),
  condition_channels: positive.optional(),
  /** Of Wan: rate that frame positions stand for. */
  fps: z.number().positive().optional(),
  /** Wan's place for `model.base_model_name_or_path`. */
  base_model_name_or_path: z.string().optional(),
  /** Ours, older: `data.validation_num_inference_steps` and `data.validation_guidance_scale`. */
  num_inference_steps: positive.optional(),
  guidance_scale: z.number().nonnegative().optional(),
  class: ignored,
  transformer_class: ignored,
});

const model = z.strictObject({
  base_model_name_or_path: z.string().optional(),
  /** Parts of the base model that have a config but no weights start from random ones. */
  from_scratch: z.boolean().default(false),
  revision: ignored,
  variant: ignored,
});

const schema = z.strictObject({
  experiment: z
    .strictObject({
      name: z.string().min(1).default('dwm'),
      output_dir: z.string().default('outputs'),
      description: z.unknown().optional(),
      date: z.unknown().optional(),
      author: z.unknown().optional(),
    })
    .prefault({}),
  pipeline: pipeline.prefault({}),
  training: training.prefault({}),
  data: data.prefault({}),
  model: model.prefault({}),
  logging: z
    .strictObject({
      log_steps: positive.default(10),
      report_to: ignored,
      tracker_name: ignored,
      project_name: ignored,
      entity_name: ignored,
    })
    .prefault({}),
  /** Of Wan's files. */
  transformer: ignored,
  slurm: ignored,
  environment: ignored,
});

/** What each key of `training` is where nobody sets it. */
export const trainingDefaults = training.parse({});

/** Whatever an experiment file says, with defaults: what inference reads. */
export type ExperimentFile = z.infer<typeof schema>;

/** An experiment to train; the base model is known whichever of its two places names it. */
export type ExperimentConfig = Omit<ExperimentFile, 'model'> & {
  readonly model: ExperimentFile['model'] & { readonly base_model_name_or_path: string };
};

/** @throws InvalidFileError as `readExperimentFile`, and where the base model or the clips to train on are not named. */
export function parseExperiment(yaml: unknown, file: string): ExperimentConfig {
  const parsed = readExperimentFile(yaml, file);
  const missing = (field: string, fix: string) =>
    new InvalidFileError(file, `${field}: is missing; ${fix}`, { field });
  const base = parsed.model.base_model_name_or_path ?? parsed.pipeline.base_model_name_or_path;
  if (base === undefined) throw missing('model.base_model_name_or_path', 'name the folder of the base model');
  if (parsed.data.dataset_file.length === 0)
    throw missing('data.dataset_file', 'name the list of clips to train on');
  return { ...parsed, model: { ...parsed.model, base_model_name_or_path: base } };
}

/** @throws InvalidFileError naming the key, e.g. `training.lr_warmup_steps`, or every key that is unknown. */
export function readExperimentFile(yaml: unknown, file: string): ExperimentFile {
  const result = schema.safeParse(withoutNulls(yaml));
  if (result.success) return result.data;
  const unknown: string[] = [];
  for (const issue of result.error.issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    for (const key of issue.keys) unknown.push([...issue.path, key].join('.'));
  }
  if (unknown.length > 0) {
    const known = knownKeys();
    const texts = unknown.map((key) => {
      const near = nearestKey(key, known);
      return `${key}: unknown key${near === undefined ? '' : `; did you mean ${near}?`}`;
    });
    throw new InvalidFileError(file, texts.join(', '), { field: unknown[0], unknown });
  }
  const [issue] = result.error.issues;
  const field = issue.path.join('.');
  if (field === '') throw new InvalidFileError(file, 'expected sections with keys, as model: and training:');
  throw new InvalidFileError(file, `${field}: ${issue.message}`, { field });
}

type Shape = Readonly<Record<string, z.ZodType>>;

/** Without the known keys that have no value, which YAML calls null: they are as good as left out. */
function withoutNulls(yaml: unknown, shape: Shape = schema.shape): unknown {
  if (typeof yaml !== 'object' || yaml === null || Array.isArray(yaml)) return yaml;
  return Object.fromEntries(
    Object.entries(yaml).flatMap(([key, value]) => {
      if (!Object.hasOwn(shape, key)) return [[key, value]];
      const inside = shapeOf(shape[key]);
      return value === null ? [] : [[key, inside ? withoutNulls(value, inside) : value]];
    }),
  );
}

/** The keys of a section, where it is one. */
function shapeOf(type: z.ZodType): Shape | undefined {
  let inner: unknown = type;
  while (inner instanceof z.ZodPrefault || inner instanceof z.ZodDefault || inner instanceof z.ZodOptional)
    inner = inner.unwrap();
  return inner instanceof z.ZodObject ? inner.shape : undefined;
}

/** Every key there is, sections before what is in them. */
function knownKeys(shape: Shape = schema.shape, prefix = ''): string[] {
  return Object.entries(shape).flatMap(([key, type]) => {
    const inside = shapeOf(type);
    return [prefix + key, ...(inside ? knownKeys(inside, `${prefix}${key}.`) : [])];
  });
}

/** Keys of a file that is in order which mean nothing here. */
export function ignoredKeys(yaml: unknown, shape: Shape = schema.shape, prefix = ''): string[] {
  if (typeof yaml !== 'object' || yaml === null) return [];
  return Object.entries(yaml).flatMap(([key, value]) => {
    const type = shape[key];
    if (type === ignored) return [prefix + key];
    const inside = type && shapeOf(type);
    return inside ? ignoredKeys(value, inside, `${prefix}${key}.`) : [];
  });
}
