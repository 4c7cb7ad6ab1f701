/**
 * How strongly a LoRA counts: W + (alpha / rank) · B·A, or alpha / √rank where it is rank-stabilised. Alpha stands, by
 * layer, in an `.alpha` tensor; for the file in the header (diffusers' `lora_adapter_metadata`, trainers' own keys), or
 * beside it in PEFT's `adapter_config.json`. Where nobody says, alpha is the rank, as in the original.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';

/** What a file, or the one beside it, says of the whole LoRA. */
export interface LoraConfig {
  /** Where it stands. */
  readonly source: string;
  readonly alpha?: number;
  readonly rank?: number;
  readonly rankStabilised: boolean;
  /** Values of single layers, by the pattern that their names match. */
  readonly alphas: ReadonlyMap<string, number>;
  readonly ranks: ReadonlyMap<string, number>;
}

/** The header's keys in files of trainers that write plain numbers. */
const ALPHA_KEYS = ['lora_alpha', 'network_alpha', 'ss_network_alpha', 'alpha'];
const RANK_KEYS = ['lora_rank', 'network_dim', 'ss_network_dim', 'rank', 'r'];

/** Starts that change the base as well: such a LoRA on the plain base is another model. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq|lora_ga)/i;

/**
 * @param metadata of the file's header.
 * @param beside `adapter_config.json` next to it, parsed.
 * @throws InvalidFileError for values that cannot be, and for DoRA.
 */
export function readLoraConfig(
  file: string,
  metadata: Readonly<Record<string, string>>,
  beside?: { readonly file: string; readonly json: unknown },
): LoraConfig | undefined {
  for (const key of ['lora_adapter_metadata', 'lora_config']) {
    if (metadata[key] === undefined) continue;
    let json: unknown;
    try {
      json = JSON.parse(metadata[key]);
    } catch {
      throw new InvalidFileError(file, `__metadata__.${key}: is not valid JSON`, { field: key });
    }
    const config = fromPeft(file, key, json);
    if (config) return config;
  }
  if (beside) return fromPeft(beside.file, 'adapter_config.json', beside.json);
  const number = (keys: readonly string[]) => {
    const found = keys.map((key) => Number.parseFloat(metadata[key])).find((value) => value > 0);
    return found !== undefined && Number.isFinite(found) ? found : undefined;
  };
  const alpha = number(ALPHA_KEYS);
  if (alpha === undefined) return undefined;
  return {
    source: "the file's header",
    alpha,
    rank: number(RANK_KEYS),
    rankStabilised: false,
    alphas: new Map(),
    ranks: new Map(),
  };
}

/** PEFT's LoraConfig, as JSON; diffusers puts the name of the network before each key. */
function fromPeft(file: string, source: string, json: unknown): LoraConfig | undefined {
  const bad = (key: string, expected: string) =>
    new InvalidFileError(
      file,
      `${source === 'adapter_config.json' ? '' : `__metadata__.${source}.`}${key}: ${expected}`,
      {
        field: key,
      },
    );
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw bad('', 'expected an object');
  const values = new Map<string, unknown>();
  for (const [key, value] of Object.entries(json)) {
    const at = key.lastIndexOf('.');
    const owner = key.slice(0, Math.max(0, at));
    if (owner === '' || owner === 'transformer') values.set(key.slice(at + 1), value);
  }
  const type = values.get('peft_type');
  if (typeof type === 'string' && type.toUpperCase() !== 'LORA')
    throw bad('peft_type', `is ${type}, which is not supported; expected LORA`);
  const isPositive = (value: unknown): value is number =>
    typeof value === 'number' && value > 0 && value < 1e9;
  const positive = (key: string) => {
    const value = values.get(key) ?? undefined;
    if (value === undefined || isPositive(value)) return value;
    throw bad(key, `expected a number above 0, got ${JSON.stringify(value)}`);
  };
  const patterns = (key: string) => {
    const value = values.get(key) ?? {};
    const entries = typeof value === 'object' ? Object.entries(value) : undefined;
    if (!entries?.every(([, number]) => isPositive(number)))
      throw bad(key, `expected numbers above 0 by layer, got ${JSON.stringify(value)}`);
    const slow = entries.map(([pattern]) => pattern).find((pattern) => choices(pattern) > MAX_CHOICES);
    if (slow !== undefined)
      throw bad(
        key,
        `${quote(slow)} may take forever to match; name the layers, or use at most ${MAX_CHOICES} wildcards`,
      );
    return new Map<string, number>(entries);
  };
  if (values.get('use_dora') === true) {
    throw bad(
      'use_dora',
      'is DoRA, which is not supported; merge it into its base with the tool that made it',
    );
  }
  const start = values.get('init_lora_weights');
  if (typeof start === 'string' && CHANGES_BASE.test(start)) {
    throw bad('init_lora_weights', `${start} changes the base too; convert it to plain LoRA with PEFT first`);
  }
  const config = {
    source,
    alpha: positive('lora_alpha'),
    rank: positive('r'),
    rankStabilised: values.get('use_rslora') === true,
    alphas: patterns('alpha_pattern'),
    ranks: patterns('rank_pattern'),
  };
  const says = config.alpha !== undefined || config.alphas.size > 0 || config.rankStabilised;
  return says ? config : undefined;
}

/** A pattern of somebody else's may try every way to share a name out among its parts. */
const MAX_CHOICES = 3;

/** How many parts of a pattern can match in several ways; without end where a group is repeated. */
function choices(pattern: string): number {
  const signs = pattern.replace(/\\./g, '').replace(/\(\?[:=!]/g, '(');
  return /\)[*+?{]/.test(signs) ? Number.POSITIVE_INFINITY : (signs.match(/[*+?{(]/g) ?? []).length;
}

/** The value for a layer: that of the first pattern which its name ends in, as PEFT matches them, else of them all. */
export function layerValue(
  module: string,
  all: number | undefined,
  patterns: ReadonlyMap<string, number>,
): number | undefined {
  for (const [pattern, value] of patterns) {
    const anchored = pattern.startsWith('^') ? pattern : `^(?:.*\\.)?(?:${pattern})`;
    try {
      if (new RegExp(`${anchored}$`).test(module)) return value;
    } catch {
      if (module === pattern || module.endsWith(`.${pattern}`)) return value;
    }
  }
  return all;
}

/** How a layer's update is weighted. */
export interface LoraScale {
  readonly alpha: number;
  readonly rank: number;
  /** What B·A is multiplied by. */
  readonly factor: number;
  /** Where alpha stands; undefined where nobody says. */
  readonly source: string | undefined;
}

/**
 * @param alphaTensor the layer's own `.alpha`.
 * @param zeroIsRank an alpha tensor of 0 stands for the rank, as where kohya's tools make a network of a file; else the
 *   layer counts 0 times, as where a file is merged by the formula.
 */
export function loraScale(
  module: string,
  rank: number,
  config: LoraConfig | undefined,
  alphaTensor: number | undefined,
  zeroIsRank: boolean,
): LoraScale {
  const divisor = config?.rankStabilised ? Math.sqrt(rank) : rank;
  if (alphaTensor !== undefined) {
    const alpha = alphaTensor === 0 && zeroIsRank ? rank : alphaTensor;
    return { alpha, rank, factor: alpha / divisor, source: 'its .alpha tensor' };
  }
  const said = config && layerValue(module, config.alpha, config.alphas);
  // PEFT's own default.
  const alpha = said ?? (config?.rankStabilised ? 8 : undefined);
  if (alpha === undefined) return { alpha: rank, rank, factor: 1, source: undefined };
  return { alpha, rank, factor: alpha / divisor, source: config!.source };
}
