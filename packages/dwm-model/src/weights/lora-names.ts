/**
 * The tensors of a LoRA file by what they are, whoever wrote it: PEFT (`lora_A`, with or without an adapter's name),
 * diffusers of all ages (`lora.down`, `to_q_lora.down`), or kohya and LyCORIS (`lora_down`, dots of the module as
 * underscores).
 */
import { InvalidFileError } from '@dwm/core-tensor';

/** A low-rank update of one layer; names of its tensors in the file. */
export interface LoraLayer {
  /** [rank, inputs] */
  readonly down: string;
  /** [outputs, rank] */
  readonly up: string;
  /** One number. */
  readonly alpha?: string;
}

export interface LoraNames {
  /** By the layer that they belong to, `transformer_blocks.0.attn1.to_q`. */
  readonly layers: ReadonlyMap<string, LoraLayer>;
  /** Tensors to put in place of the network's, by its name. */
  readonly whole: ReadonlyMap<string, string>;
  /** Tensors to add to the network's, by its name. */
  readonly differences: ReadonlyMap<string, string>;
  /** Tensors that belong to nothing in this network. */
  readonly unused: readonly string[];
}

export interface NamingOptions {
  /** Another name that files have for a tensor of the network. */
  readonly alias?: (name: string) => string;
  /** Refuse a file of `.diff` or `.w_norm`, which are added to a weight, or `.diff_b` or `.b_norm`, to a bias. */
  readonly refusesDifferences?: boolean;
  /** Tensors of the file to pass over. */
  readonly ignore?: (name: string) => boolean;
}

type Role = 'down' | 'up' | 'alpha';

const ROLES: Readonly<Record<string, Role>> = { A: 'down', B: 'up', down: 'down', up: 'up', alpha: 'alpha' };

const FORMS: readonly RegExp[] = [
  /^(?<module>.*)\.lora_(?<role>[AB])(?:(?:\.[^.]+)?\.weight)?$/,
  /^(?<module>.*)\.lora[._](?<role>down|up)(?:\.[^.]+)?\.weight$/,
  /^(?<module>.*)\.lora_linear_layer\.(?<role>down|up)\.weight$/,
  /^(?<module>.*\.to_(?:q|k|v|out))_lora\.(?<role>down|up)\.weight$/,
  /^(?<module>.*?)(?:\.lora)?\.(?:lora_)?(?<role>alpha)$/,
];

/** Updates of other kinds: taken for LoRA, half of them would be left out. */
const OTHER_KINDS: readonly (readonly [RegExp, string])[] = [
  [/\.(lora_)?(magnitude(_vector)?|dora_\w+)(\.|$)/, 'DoRA'],
  [/\.lora_E(\.|$)/, 'AdaLoRA'],
  [/\.hada_[wt]/, 'LoHa'],
  [/\.lokr_[wt]/, 'LoKr'],
  [/\.b?oft_/, 'OFT'],
  [/\.vera_lambda_/, 'VeRA'],
  [/\.lora_mid\./, 'LoRA in Tucker form'],
  [/\.lora_embedding_[AB]/, 'LoRA of an embedding'],
  [/\.lora[._](A|B|down|up)(\.[^.]+)?\.bias$/, 'LoRA with a bias'],
];
/** Of whole tensors, and LyCORIS's of norms. */
const DIFFERENCE = /^(?<path>.*)\.(?:diff|w_norm|(?<bias>diff_b|b_norm))$/;

/** What wrappers of a network put before its names. */
const WRAPPERS = /^(?:(?:base_model|model|transformer|diffusion_model|unet|module|pipe|dit|_orig_mod)\.)+/;
const KOHYA = /^(?:lora_(?:unet|transformer)|lycoris)[_-]+/;
/** What PEFT puts into the names of tensors that it wraps, or that it keeps whole. */
const WRAPPED = /\.(?:base_layer|modules_to_save(?:\.[^.]+)?)(?=\.(?:weight|bias)$)/;

/** The network's name of a tensor in a file. */
const plain = (name: string) => name.replace(WRAPPERS, '').replace(WRAPPED, '');

/**
 * @param names of the tensors in `file`.
 * @param targets names of the network's tensors.
 * @throws InvalidFileError for an update that is not LoRA, a pair of which half is missing, or one that is there twice.
 */
export function loraNames(
  file: string,
  names: Iterable<string>,
  targets: ReadonlySet<string>,
  options: NamingOptions = {},
): LoraNames {
  const problem = (field: string, text: string) => new InvalidFileError(file, `${field}: ${text}`, { field });
  const moduleOf = moduleFinder(targets, options.alias);
  const layers = new Map<string, Partial<Record<Role, string>>>();
  const whole = new Map<string, string>();
  const differences = new Map<string, string>();
  const unused: string[] = [];
  for (const name of names) {
    if (options.ignore?.(name)) continue;
    const difference = DIFFERENCE.exec(name)?.groups;
    if (difference && !options.refusesDifferences) {
      const target = moduleOf(difference.path, difference.bias ? 'bias' : 'weight', true);
      if (target === undefined) unused.push(name);
      else differences.set(target, name);
      continue;
    }
    const kind = difference
      ? 'a difference of whole weights'
      : OTHER_KINDS.find(([pattern]) => pattern.test(name))?.[1];
    if (kind)
      throw problem(
        name,
        `is ${kind}, which is not supported; merge it into its base with the tool that made it`,
      );
    const { module: path, role } = FORMS.map((form) => form.exec(name)?.groups).find(Boolean) ?? {};
    const module = path === undefined ? undefined : moduleOf(path)?.replace(/\.weight$/, '');
    if (module !== undefined) {
      const layer = layers.get(module) ?? {};
      layers.set(module, layer);
      const other = layer[ROLES[role]];
      if (other !== undefined)
        throw problem(name, `and ${other} are about the same layer; keep one of the two`);
      layer[ROLES[role]] = name;
    } else if (path === undefined && targets.has(plain(name))) whole.set(plain(name), name);
    else unused.push(name);
  }
  const complete = new Map<string, LoraLayer>();
  for (const [module, { down, up, alpha }] of layers) {
    if (!down && !up) {
      unused.push(alpha!);
      continue;
    }
    if (!down || !up) throw problem((down ?? up)!, `its partner lora_${down ? 'B' : 'A'} is missing`);
    complete.set(module, { down, up, ...(alpha && { alpha }) });
  }
  return { layers: complete, whole, differences, unused };
}

/** The tensors of a file of whole ones. */
export function wholeNames(
  names: Iterable<string>,
  targets: ReadonlySet<string>,
): Pick<LoraNames, 'whole' | 'unused'> {
  const whole = new Map<string, string>();
  const unused: string[] = [];
  for (const name of names) {
    if (targets.has(plain(name))) whole.set(plain(name), name);
    else unused.push(name);
  }
  return { whole, unused };
}

/** Finds a layer's weight, or its bias, by the layer's name in a file; if asked to, a tensor of that very name too. */
function moduleFinder(
  targets: ReadonlySet<string>,
  alias: (name: string) => string = (name) => name,
): (path: string, part?: 'weight' | 'bias', takesWhole?: boolean) => string | undefined {
  const flatten = (name: string) => name.replaceAll('.', '_');
  const flat = new Map<string, string>();
  for (const name of targets) for (const known of [alias(name), name]) flat.set(flatten(known), name);
  return (path, part = 'weight', takesWhole = false) => {
    const name = flatten(path.replace(WRAPPERS, '').replace('.processor.', '.')).replace(KOHYA, '');
    // Attention's last layer is the first of a list; older files name the list.
    const list = name.endsWith('to_out') ? flat.get(`${name}_0_${part}`) : undefined;
    return flat.get(`${name}_${part}`) ?? list ?? (takesWhole ? flat.get(name) : undefined);
  };
}
