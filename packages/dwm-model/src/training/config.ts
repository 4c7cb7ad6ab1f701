/**
 * The original's experiment YAML, section by section, with its defaults. Unknown keys are refused by name;
 * keys that only steer PyTorch (allow_tf32, slicing, report_to …) are accepted and without effect here.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';
import { LR_SCHEDULES } from './learning-rate.ts';

const count = z.number().int().nonnegative();
const positive = z.number().int().positive();
const share = z.number().min(0).max(1);
/** A list of one or more, or a single value for it. */
const list = <T extends z.ZodType>(item: T) =>
  z.union([z.array(item), item.transform((value) => [value] as z.output<T>[])]);

/** A dataset list with its share in the mix, and the folder that its clips are in where that is not `data_root`. */
const datasetFile = z.union([
  z.string().transform((path) => ({ path, weight: 1, root: undefined as string | undefined })),
  z.strictObject({
    path: z.string(),
    weight: z.number().positive().default(1),
    root: z.string().optional(),
  }),
]);

const customSettings = z.strictObject({
  mixed_precision: z.enum(['no', 'fp16', 'bf16']).default('no'),
  gradient_checkpointing: z.boolean().default(false),
  load_tensors: z.boolean().default(false),
  random_flip: z.number().nullable().default(null),
  max_num_frames: positive.default(49),
  enable_slicing: z.boolean().default(false),
  enable_tiling: z.boolean().default(false),
  allow_tf32: z.boolean().default(false),
  checkpointing_steps: positive.default(500),
  /** Checkpoints kept besides the best. */
  checkpoints_total_limit: positive.default(3),
});

const training = z.strictObject({
  mode: z.enum(['lora', 'full', 'vae', 'inpaint']).default('lora'),
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
  learning_rate: z.number().nonnegative().default(1e-4),
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
  weight_decay: z.number().nonnegative().default(0.01),
  lr_scheduler: z.enum(LR_SCHEDULES).default('cosine_with_restarts'),
  lr_warmup_steps: count.default(100),
  lr_num_cycles: z.number().positive().default(1),
  max_grad_norm: z.number().positive().default(1),
  beta1: share.default(0.9),
  beta2: share.default(0.95),
  epsilon: z.number().positive().default(1e-8),
  seed: count.default(42),
  lora_rank: positive.default(64),
  lora_alpha: z.number().positive().default(64),
  lora_target_modules: z.array(z.string()).default(['to_q', 'to_k', 'to_v', 'to_out.0']),
  trainable_parameter_patterns: z.array(z.string()).default(['patch_embed.proj']),
  prompt_dropout_prob: share.default(0),
  hand_dropout_prob: share.default(0),
  /** Share of samples that show a scene without hands: the static video is then what happens. */
  no_hands_prob: share.default(0),
  /** First and last of the timesteps that are drawn from, all as often. */
  timestep_range: z
    .tuple([count.max(999), count.max(999)])
    .refine(([first, last]) => first <= last, 'expected the first timestep before the last')
    .default([0, 999]),
  /** Modes `lora` and `full`: how many times more than the rest the loss counts what differs from the static video. */
  change_weight: z.number().nonnegative().default(0),
  /** Modes `lora` and `full`: error of a latent from which on the loss is linear in it (pseudo-Huber); 0 squares all. */
  huber_c: z.number().nonnegative().default(0),
  resume_from_checkpoint: z.string().nullable().default(null),
  custom_settings: customSettings.prefault({}),
});

const data = z.strictObject({
  data_root: z.string().default('.'),
  dataset_file: list(datasetFile),
  validation_set: list(z.string()).default([]),
  height_buckets: list(positive).default([480]),
  width_buckets: list(positive).default([720]),
  frame_buckets: list(positive).default([49]),
  num_validation_videos: count.default(1),
  max_validation_videos: count.default(4),
  init_validation_steps: count.default(0),
  validation_steps: positive.default(500),
  video_subdir: z.string().default('videos'),
  static_video_subdir: z.string().default('videos_static'),
  hand_video_subdir: z.string().default('videos_hands'),
  prompt_subdir: z.string().default('prompts_rewrite'),
  video_latents_subdir: z.string().default('video_latents'),
  static_video_latents_subdir: z.string().default('static_video_latents'),
  hand_video_latents_subdir: z.string().default('hand_video_latents'),
  prompt_embeds_subdir: z.string().default('prompt_embeds_rewrite'),
});

const schema = z.strictObject({
  experiment: z
    .looseObject({ name: z.string().default('dwm'), output_dir: z.string().default('outputs') })
    .prefault({}),
  pipeline: z.looseObject({}).default({}),
  training: training.prefault({}),
  data,
  model: z.looseObject({
    base_model_name_or_path: z.string(),
    /** Parts of the base model that have a config but no weights start from random ones. */
    from_scratch: z.boolean().default(false),
  }),
  logging: z.looseObject({ log_steps: positive.default(10) }).prefault({}),
});

export type ExperimentConfig = z.infer<typeof schema>;

/** @throws InvalidFileError naming the key, e.g. `training.lr_warmup_steps`. */
export function parseExperiment(yaml: unknown, file: string): ExperimentConfig {
  const result = schema.safeParse(yaml);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue.path.join('.');
  const field = issue.code === 'unrecognized_keys' ? [path, issue.keys[0]].filter(Boolean).join('.') : path;
  const problem = issue.code === 'unrecognized_keys' ? 'unknown key' : issue.message;
  throw new InvalidFileError(file, `${field}: ${problem}`, { field });
}
