/**
 * Scheduler files. diffusers writes every field of a class, and files are loaded across classes, so: a field of
 * any scheduler known here is accepted, a field that is none of them is an error, the fields that diffusers has
 * always written are required, the later ones have its defaults, and a setting that is not supported is refused.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';

const switchedOff = z.literal(false).nullable().default(false);

export const spacing = z.enum(['leading', 'linspace', 'trailing']);
/** Tables of that length are made. */
export const numTrainTimesteps = z.int().positive().max(1_000_000);
const stepsOffset = z.int().nonnegative().default(0);
export const shift = z.number().positive();
export const shiftTerminal = z.number().lt(1).nullable().default(null);
export const finalSigmas = z.enum(['zero', 'sigma_min']).default('zero');

/** Fields of every scheduler built on betas. */
export const betaFields = {
  num_train_timesteps: numTrainTimesteps,
  beta_start: z.number().positive().lt(1),
  beta_end: z.number().positive().lt(1),
  beta_schedule: z.enum(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  trained_betas: z.array(z.number().positive().lt(1)).nullable().default(null),
  rescale_betas_zero_snr: z.boolean().default(false),
  steps_offset: stepsOffset,
};
export type BetaConfig = z.infer<z.ZodObject<typeof betaFields>>;

export const predictionType = z.enum(['epsilon', 'sample', 'v_prediction']);
export type PredictionType = z.infer<typeof predictionType>;

/** Fields shared by DDIM and CogVideoX's two schedulers. */
export const ddimFields = {
  ...betaFields,
  prediction_type: predictionType,
  set_alpha_to_one: z.boolean().default(true),
  timestep_spacing: spacing.default('leading'),
};
export type DdimConfig = z.infer<z.ZodObject<typeof ddimFields>>;

export const noSigmaConversion = {
  use_karras_sigmas: switchedOff,
  use_exponential_sigmas: switchedOff,
  use_beta_sigmas: switchedOff,
};
export const noDynamicShifting = { use_dynamic_shifting: switchedOff };
export const noThresholding = { thresholding: switchedOff };

/** Fields of both UniPC schedulers. */
export const uniPcFields = {
  num_train_timesteps: numTrainTimesteps,
  solver_order: z.int().min(1).max(3),
  predict_x0: z.literal(true).default(true),
  // The last three are solvers of other classes; diffusers takes them for bh2.
  solver_type: z
    .enum(['bh1', 'bh2', 'midpoint', 'heun', 'logrho'])
    .transform((type) => (type === 'bh1' ? ('bh1' as const) : ('bh2' as const)))
    .default('bh2'),
  lower_order_final: z.boolean().default(true),
  disable_corrector: z.array(z.int().nonnegative()).default([]),
  solver_p: z.null().default(null),
  ...noDynamicShifting,
  ...noThresholding,
};
export type UniPcConfig = z.infer<z.ZodObject<typeof uniPcFields>>;

const KNOWN_FIELDS = new Set([
  ...['_class_name', '_diffusers_version', '_name_or_path', '_use_default_values'],
  ...Object.keys({ ...ddimFields, ...noSigmaConversion, ...uniPcFields }),
  ...[
    'clip_sample',
    'clip_sample_range',
    'sample_max_value',
    'dynamic_thresholding_ratio',
    'snr_shift_scale',
  ],
  ...['interpolation_type', 'timestep_type', 'sigma_min', 'sigma_max', 'final_sigmas_type'],
  ...['use_flow_sigmas', 'flow_shift', 'shift', 'shift_terminal', 'invert_sigmas', 'stochastic_sampling'],
  ...['algorithm_type', 'euler_at_final', 'lambda_min_clipped', 'variance_type'],
  ...['time_shift_type', 'base_shift', 'max_shift', 'base_image_seq_len', 'max_image_seq_len'],
]);

export function fieldError(file: string, field: string, expected: string, actual: unknown): InvalidFileError {
  const problem =
    actual === undefined
      ? `is missing, expected ${expected}`
      : `is ${JSON.stringify(actual)}, expected ${expected}`;
  return new InvalidFileError(file, `${field} ${problem}`, { field, expected, actual });
}

/** Reads the fields of one scheduler. Throws `InvalidFileError` for the first bad or unknown field. */
export function parseConfig<T extends z.ZodObject>(schema: T, json: unknown, file: string): z.infer<T> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new InvalidFileError(file, 'expected a JSON object with the fields of a diffusers scheduler');
  }
  const unknownField = Object.keys(json).find((key) => !KNOWN_FIELDS.has(key));
  if (unknownField !== undefined) {
    throw new InvalidFileError(file, `${unknownField} is not a field of a diffusers scheduler; remove it`, {
      field: unknownField,
    });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const actual = issue.path.reduce(
      (value: unknown, key) => (value as Record<PropertyKey, unknown>)?.[key],
      json,
    );
    throw fieldError(file, issue.path.join('.'), describeExpected(issue), actual);
  }
  const { trained_betas: betas, num_train_timesteps: count } = parsed.data as Partial<BetaConfig>;
  if (betas && betas.length !== count) {
    throw fieldError(
      file,
      'trained_betas',
      `${count} numbers (num_train_timesteps)`,
      `${betas.length} numbers`,
    );
  }
  return parsed.data;
}

function describeExpected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_value':
      return issue.values.length === 1
        ? `${String(issue.values[0])} (nothing else is supported)`
        : issue.values.map(String).join(' | ');
    case 'invalid_type':
      return issue.expected === 'int' ? 'an integer' : issue.expected;
    case 'too_small':
      return `${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big':
      return `${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}`;
    default:
      return issue.message;
  }
}
