/**
 * DWM's fine-tuned weights on top of a base: low-rank updates merged into the weights they belong to, and
 * the few tensors that were trained whole put in place.
 */
import {
  add,
  type Checkpoint,
  cast,
  type Device,
  DeviceTensor,
  elementCount,
  evaluate,
  InvalidArgumentError,
  InvalidFileError,
  isPacked,
  type ModelFolder,
  matmul,
  mul,
  openTensorFile,
  pad,
  parameter,
  reshape,
  spec,
  type Tensor,
  toFloat32,
  toNumbers,
} from '@dwm/core-tensor';
import { readJson } from './config.ts';
import { type LoraLayer, type LoraNames, loraNames, type NamingOptions, wholeNames } from './lora-names.ts';
import { type LoraConfig, type LoraScale, layerValue, loraScale, readLoraConfig } from './lora-scale.ts';
import { lowRankName } from './low-rank.ts';
import { firstThere } from './model-files.ts';
import {
  checkNames,
  fillTensor,
  loadParameters,
  type ParameterSpecs,
  type Parameters,
  storedDtype,
} from './parameters.ts';
import { isLinearWeight } from './quantized.ts';
import { Rewriter } from './rewriter.ts';

/** File name of a LoRA as diffusers saves it. */
export const LORA_FILE = 'pytorch_lora_weights.safetensors';
/** File name of the weights that were trained whole beside a LoRA. */
export const NON_LORA_FILE = 'non_lora_weights.safetensors';

/** Names of the LoRA file, the first that is there: the original's for CogVideoX and for Wan, an older form, PEFT's. */
export const LORA_FILES = [
  LORA_FILE,
  'lora_diffusion_pytorch_model.safetensors',
  'pytorch_lora_weights.bin',
  'adapter_model.safetensors',
  'adapter_model.bin',
] as const;
const NON_LORA_FILES = [NON_LORA_FILE, 'non_lora_weights.pt'];
const PEFT_CONFIG = 'adapter_config.json';

/** The files of a LoRA folder, opened. */
export interface LoraFiles {
  readonly lora: Checkpoint;
  /** Tensors trained whole, by their name in the network. */
  readonly whole?: Checkpoint;
  /** What the file, or PEFT's config beside it, says of alpha and rank. */
  readonly config?: LoraConfig;
}

/** A LoRA that a network is loaded with. */
export interface LoraChoice {
  readonly folder: ModelFolder;
  /** It counts so many times; 1 unless told. */
  readonly weight?: number;
}

/** A folder, or several with their weights, which stay beside the network's. */
export type GivenLoras = ModelFolder | readonly LoraChoice[];

/** The given LoRAs one by one; a folder alone is one of them. */
export const loraChoices = (given: GivenLoras | undefined): readonly LoraChoice[] => {
  if (!given) return [];
  return 'open' in given ? [{ folder: given }] : given;
};

/** Whether there is a LoRA in the folder. */
export const hasLora = async (folder: ModelFolder): Promise<boolean> =>
  (await firstThere(folder, LORA_FILES)) !== undefined;

/** @throws InvalidFileError when the folder has no LoRA file, or what it says of itself cannot be. */
export async function openLora(folder: ModelFolder): Promise<LoraFiles> {
  const lora = await openTensorFile(await folder.open((await firstThere(folder, LORA_FILES)) ?? LORA_FILE));
  try {
    const beside = (await folder.exists(PEFT_CONFIG)) ? await readJson(folder, PEFT_CONFIG) : undefined;
    const config = readLoraConfig(lora.name, lora.metadata, beside);
    const wholeFile = await firstThere(folder, NON_LORA_FILES);
    const whole = wholeFile === undefined ? undefined : await openTensorFile(await folder.open(wholeFile));
    return { lora, whole, config };
  } catch (error) {
    await lora.close();
    throw error;
  }
}

/** Closes the files of a LoRA. */
export async function closeLora({ lora, whole }: LoraFiles): Promise<void> {
  await lora.close();
  await whole?.close();
}

/** A LoRA that is open, and how often it counts. */
export interface OpenedLora {
  readonly files: LoraFiles;
  readonly weight: number;
}

/** @throws InvalidFileError as `openLora`. */
export async function openLoras(given: GivenLoras | undefined): Promise<OpenedLora[]> {
  const opened: OpenedLora[] = [];
  try {
    for (const { folder, weight = 1 } of loraChoices(given))
      opened.push({ files: await openLora(folder), weight });
    return opened;
  } catch (error) {
    await closeLoras(opened);
    throw error;
  }
}

/** Closes the files of all of them. */
export async function closeLoras(opened: readonly OpenedLora[]): Promise<void> {
  for (const { files } of opened) await closeLora(files);
}

/** Bytes of the tensors of LoRAs, from their headers. */
export async function loraBytes(given: GivenLoras): Promise<number> {
  const opened = await openLoras(given);
  try {
    const entries = opened.flatMap(({ files }) => [...files.lora.tensors.values()]);
    return entries.reduce((sum, { begin, end }) => sum + end - begin, 0);
  } finally {
    await closeLoras(opened);
  }
}

/** Input channels of the patch projection `patch` that was trained whole, if there is one. */
export function trainedChannels({ lora, whole }: LoraFiles, patch: string): number | undefined {
  for (const file of [whole, lora]) {
    const name = file && wholeNames(file.tensors.keys(), new Set([patch])).whole.get(patch);
    const shape = name === undefined ? undefined : file!.tensors.get(name)!.shape;
    if (shape && shape.length > 3) return shape[1];
  }
  return undefined;
}

/** What a merge did. */
export interface MergedLora {
  /** Layers that were updated. */
  readonly merged: number;
  /** Tensors that a difference was added to. */
  readonly differences: number;
  /** Every way in which updates were weighted, and how many layers were weighted so. */
  readonly scales: readonly (LoraScale & { readonly layers: number })[];
  /** Tensors that belong to nothing in this network. */
  readonly unused: readonly string[];
  /** What else whoever uses this LoRA has to know. */
  readonly warnings: readonly string[];
}

/** What several merges did, or nothing. */
export function inOne(all: readonly MergedLora[]): MergedLora | undefined {
  if (all.length < 2) return all[0];
  const sum = (of: (one: MergedLora) => number) => all.reduce((total, one) => total + of(one), 0);
  return {
    merged: sum(({ merged }) => merged),
    differences: sum(({ differences }) => differences),
    scales: all.flatMap(({ scales }) => scales),
    unused: all.flatMap(({ unused }) => unused),
    warnings: all.flatMap(({ warnings }) => warnings),
  };
}

/** How a LoRA is merged into the weights. */
export interface MergeOptions extends NamingOptions {
  /**
   * Shapes of the whole network by name, where the parameters at hand are some of it: the others are merged when they
   * come.
   */
  readonly network?: ReadonlyMap<string, readonly number[]>;
  /** Only what the parameters at hand need is read; what is told of the merge is then of them alone. */
  readonly onlyAtHand?: boolean;
  /**
   * Keep updates of linear layers beside the weights, as number so many of the LoRAs there: what is quantized cannot be
   * merged into.
   */
  readonly beside?: number;
  /** Every update counts so many times; 1 unless told. */
  readonly weight?: number;
  /** What an alpha tensor of 0 stands for, see `loraScale`; the rank unless told. */
  readonly zeroIsRank?: boolean;
  /** Round B·A, and its multiple, to the dtype of W before it is added, as a merge in that dtype does. */
  readonly roundsProducts?: boolean;
  /** Which differences are added, by the network's name of their tensor; all of them unless told. */
  readonly takesDifference?: (name: string) => boolean;
  /** Told what the file holds for this network before anything is merged; may throw. */
  readonly check?: (names: LoraNames) => void;
}

/**
 * Merges W + factor · B·A for every pair in the file (see `lora-scale.ts`), each of its own rank, and puts tensors that
 * were trained whole in place. The sum is made in f32 and kept in the dtype of W.
 *
 * @throws InvalidFileError for a pair that is incomplete or does not fit, and for a file of which nothing belongs to
 *   this network. As the original does, it passes over single tensors that belong to nothing, and names them.
 */
export async function mergeLora(
  device: Device,
  parameters: Parameters,
  { lora, whole, config }: LoraFiles,
  {
    weight = 1,
    zeroIsRank,
    roundsProducts = false,
    takesDifference = () => true,
    check,
    network,
    beside,
    onlyAtHand = false,
    ...naming
  }: MergeOptions = {},
): Promise<MergedLora> {
  const shapeOf = (name: string) => network?.get(name) ?? parameters.tensors.get(name)!.shape;
  const targets = new Set((network ?? parameters.tensors).keys());
  const atHand = (found: ReadonlyMap<string, string>) =>
    new Map([...found].filter(([name]) => parameters.has(name)));
  const names = loraNames(lora.name, lora.tensors.keys(), targets, naming);
  if (names.layers.size === 0 && names.differences.size === 0) {
    const [first] = names.unused;
    throw new InvalidFileError(
      lora.name,
      first === undefined
        ? 'holds no LoRA weights'
        : `holds no LoRA weights of this network; ${first} and the like belong to no layer of it`,
    );
  }
  check?.(names);
  const scales = new Map<string, LoraScale & { layers: number }>();
  const otherRanks = new Map<string, number>();
  const merges: LayerMerge[] = [];
  for (const [module, layer] of names.layers) {
    if (onlyAtHand && !parameters.has(`${module}.weight`)) continue;
    const scale = await loraScaleOf({ lora, config }, module, layer, zeroIsRank);
    const said = config && layerValue(module, config.rank, config.ranks);
    if (said !== undefined && said !== scale.rank) otherRanks.set(`${said}, not ${scale.rank}`, scale.rank);
    const target = `${module}.weight`;
    if (beside !== undefined && isLinearWeight(target, shapeOf(target))) {
      // Updates of what is streamed are on the device all the time.
      if (!onlyAtHand) {
        const place = { module, lora: beside, shape: shapeOf(target) };
        await keepBeside(device, parameters, lora, layer, place, weight, scale.factor);
      }
    } else if (parameters.has(target))
      merges.push({ target: parameters.tensors.get(target)!, layer, factor: weight * scale.factor });
    const key = `${scale.source} ${scale.alpha} ${scale.rank} ${scale.factor}`;
    const before = scales.get(key);
    scales.set(key, { ...scale, layers: (before?.layers ?? 0) + 1 });
  }
  await mergeLayers(device, lora, merges, roundsProducts);
  await replaceWhole(device, parameters, lora, atHand(names.whole));
  const unused = [...names.unused];
  let differences = 0;
  for (const [name, stored] of names.differences) {
    if (!takesDifference(name)) unused.push(stored);
    else {
      if (parameters.has(name)) await addDifference(device, parameters, lora, name, stored, weight);
      differences++;
    }
  }
  if (whole) {
    const found = wholeNames(whole.tensors.keys(), targets);
    await replaceWhole(device, parameters, whole, atHand(found.whole));
    unused.push(...found.unused);
  }
  const warnings = [...otherRanks.keys()].map(
    (ranks) => `${lora.name}: ${config!.source} says rank ${ranks} as its tensors have; theirs is used`,
  );
  return { merged: names.layers.size, differences, scales: [...scales.values()], unused, warnings };
}

/** How the update of one layer is weighted. */
export async function loraScaleOf(
  { lora, config }: LoraFiles,
  module: string,
  { down, alpha }: LoraLayer,
  zeroIsRank = true,
): Promise<LoraScale> {
  const [rank = 0] = lora.tensors.get(down)!.shape;
  if (rank === 0) throw new InvalidFileError(lora.name, `${down}: has rank 0`, { field: down });
  const own = alpha === undefined ? undefined : await readNumber(lora, alpha);
  return loraScale(module, rank, config, own, zeroIsRank);
}

/** A tensor that holds one number. */
async function readNumber(file: Checkpoint, name: string): Promise<number> {
  const tensor = await file.readTensor(name);
  const values = /^B?F/.test(tensor.dtype) ? [...toFloat32(tensor)] : toNumbers(tensor);
  if (values.length === 1 && Number.isFinite(values[0])) return values[0];
  throw new InvalidFileError(file.name, `${name}: expected one number, got [${values.slice(0, 4)}]`, {
    field: name,
  });
}

/** W + factor · B·A of a layer, in the place of W. */
interface LayerMerge {
  readonly target: DeviceTensor;
  readonly layer: LoraLayer;
  readonly factor: number;
}

/** @param roundsProducts as `MergeOptions` has it. */
async function mergeLayers(
  device: Device,
  lora: Checkpoint,
  merges: readonly LayerMerge[],
  roundsProducts: boolean,
): Promise<void> {
  const rewriter = new Rewriter(device);
  // Those of one shape together: they share a program.
  const shapeOf = ({ target, layer: { down } }: LayerMerge) =>
    `${target.dtype} ${target.shape} ${lora.tensors.get(down)!.shape}`;
  const sorted = [...merges].sort((a, b) => (shapeOf(a) < shapeOf(b) ? -1 : 1));
  try {
    for (const { target, layer, factor } of sorted) {
      const round = (x: Tensor) => (roundsProducts ? cast(x, target.dtype) : x);
      const { down, up } = layer;
      const { rank, outputs, rest } = productShape(lora, target, layer);
      const inputs = elementCount(rest);
      const dtypeOf = (name: string) => storedDtype(lora.tensors.get(name)!.dtype)!;
      const { buffer, run } = await rewriter.rewriting(
        {
          weight: { shape: target.shape, dtype: target.dtype },
          a: spec([rank, inputs], dtypeOf(down)),
          b: spec([outputs, rank], dtypeOf(up)),
          factor: spec([1]),
        },
        'merge',
        ({ weight, a, b, factor: times }) => {
          const scaled = reshape(round(mul(round(matmul(b, a)), times)), [outputs, ...rest]);
          return cast(add(weight, widened(scaled, target.shape)), target.dtype);
        },
      );
      await fillTensor(buffer('a'), lora, down);
      await fillTensor(buffer('b'), lora, up);
      target.copyFrom(await run({ weight: target, factor: Float32Array.of(factor) }));
    }
    await device.done();
  } finally {
    rewriter.destroy();
  }
}

/**
 * B·A of a layer: [outputs, rank] by [rank, …rest], for all input channels of W or for fewer.
 * @throws InvalidFileError where the file has other shapes.
 */
function productShape(lora: Checkpoint, target: DeviceTensor, { down, up }: LoraLayer) {
  const [given, storedUp] = [down, up].map((name) => lora.tensors.get(name)!.shape);
  const [rank] = given;
  const [outputs] = target.shape;
  const [, ...rest] = ownShape(given, [rank, ...target.shape.slice(1)]);
  // Of a convolution, or of a linear layer that was saved as one of a single pixel.
  const fits = (shape: readonly number[], rows: number, columns: number) =>
    shape.length > 2 && shape[0] === rows && elementCount(shape.slice(1)) === columns;
  const inputs = elementCount(rest);
  const specs: ParameterSpecs = {
    [down]: { shape: fits(given, rank, inputs) ? given : [rank, inputs] },
    [up]: { shape: fits(storedUp, outputs, rank) ? storedUp : [outputs, rank] },
  };
  checkNames(
    lora,
    specs,
    (name) => name,
    () => true,
  );
  return { rank, outputs, rest };
}

/** The shape that a file has a weight of `wide` shape in: its own where it was made for fewer input channels. */
const ownShape = (given: readonly number[], wide: readonly number[]): readonly number[] =>
  narrower(given, wide) ? given : wide;

/** Whether a convolution's weight was made for fewer input channels: those of the base, which come first. */
const narrower = (given: readonly number[], wide: readonly number[]): boolean =>
  given.length > 2 &&
  given.length === wide.length &&
  given[1] < wide[1] &&
  given.every((size, i) => i === 1 || size === wide[i]);

/** With zeros for the input channels beyond. */
const widened = (x: Tensor, { 1: channels }: readonly number[]): Tensor =>
  x.shape[1] === channels ? x : pad(x, 1, 0, channels - x.shape[1]);

/** Puts an update beside the weight of a linear layer of `shape`. */
async function keepBeside(
  device: Device,
  parameters: Parameters,
  file: Checkpoint,
  { down, up }: LoraLayer,
  place: { readonly module: string; readonly lora: number; readonly shape: readonly number[] },
  weight: number,
  factor: number,
): Promise<void> {
  const { module, lora, shape } = place;
  const [rank] = file.tensors.get(down)!.shape;
  const specs: ParameterSpecs = {
    [down]: { shape: [rank, shape[1]] },
    [up]: { shape: [shape[0], rank] },
  };
  const low = await loadParameters(device, file, specs, { ignore: () => true });
  parameters.replace(lowRankName(module, lora, 'a'), low.tensors.get(down)!);
  parameters.replace(lowRankName(module, lora, 'b'), low.tensors.get(up)!);
  const name = lowRankName(module, lora, 'scale');
  const scale = new DeviceTensor(device, spec([1]), name);
  parameters.replace(name, scale);
  parameters.besides[lora].set(scale, factor);
  scale.write(new Float32Array([weight * factor]));
}

/**
 * Counts a LoRA that was loaded beside the weights another number of times, 0 for not at all. What runs next has it.
 * @param lora its number, in the order of loading, from 0.
 * @throws InvalidArgumentError where no such LoRA is beside the weights.
 */
export function weighLora({ besides }: Parameters, lora: number, weight: number): void {
  const scales = besides[lora];
  if (!scales?.size)
    throw new InvalidArgumentError(
      'lora',
      `there is no LoRA ${lora} beside the weights; load several, or quantize`,
    );
  for (const [scale, factor] of scales) scale.write(new Float32Array([weight * factor]));
}

async function addDifference(
  device: Device,
  parameters: Parameters,
  file: Checkpoint,
  name: string,
  stored: string,
  weight: number,
): Promise<void> {
  const target = parameters.tensors.get(name)!;
  requireWritable(file, name, stored, target);
  const shape = ownShape(file.tensors.get(stored)!.shape, target.shape);
  const loaded = await loadParameters(device, file, { [stored]: { shape } }, { ignore: () => true });
  try {
    const sum = add(parameter(target), widened(mul(loaded.get(stored), weight), target.shape));
    const { out } = await evaluate(device, { out: cast(sum, target.dtype) });
    parameters.replace(name, out);
  } finally {
    loaded.destroy();
  }
}

function requireWritable(file: Checkpoint, name: string, stored: string, { dtype }: DeviceTensor): void {
  if (!isPacked(dtype)) return;
  throw new InvalidFileError(
    file.name,
    `${stored} would change all of ${name}, which is quantized (${dtype}); use a model in bf16 with this LoRA`,
    { field: stored },
  );
}

/** @param names in the file, by those in the network. */
async function replaceWhole(
  device: Device,
  parameters: Parameters,
  file: Checkpoint,
  names: ReadonlyMap<string, string>,
): Promise<void> {
  for (const [name, stored] of names) {
    const target = parameters.tensors.get(name)!;
    requireWritable(file, name, stored, target);
    const shape = ownShape(file.tensors.get(stored)!.shape, target.shape);
    const loaded = await loadParameters(device, file, { [stored]: { shape } }, { ignore: () => true });
    if (shape === target.shape) parameters.replace(name, loaded.tensors.get(stored)!);
    else {
      const wide = cast(widened(loaded.get(stored), target.shape), target.dtype);
      const { out } = await evaluate(device, { out: wide }).finally(() => loaded.destroy());
      parameters.replace(name, out);
    }
  }
}

/** Names of tensors in a line. */
const SHOWN = 8;

/**
 * What a merge has to tell, a line each: how updates were weighted where that is not plainly B·A, whose alpha was not
 * used, and the first of the tensors that found no place.
 * @param experiment alpha in the experiment file, and what the file is called.
 */
export function loraRemarks(
  { scales, differences, unused, warnings }: MergedLora,
  experiment?: { readonly file: string; readonly alpha: number },
): { readonly warnings: string[]; readonly notes: string[] } {
  const notes: string[] = [];
  const all = [...warnings];
  const round = (x: number) => Number(x.toPrecision(4));
  for (const { alpha, rank, factor, source, layers } of scales) {
    const of = scales.length > 1 ? ` in ${layers} layers` : '';
    if (source !== undefined && factor !== 1) {
      notes.push(
        `LoRA: alpha ${round(alpha)} of rank ${rank}${of}, as ${source} says: B·A counts ${round(factor)} times`,
      );
    }
    if (!experiment || experiment.alpha === alpha) continue;
    const differs = `lora_alpha ${experiment.alpha} in ${experiment.file} differs from`;
    all.push(
      source === undefined
        ? `${differs} the rank ${rank} in the file${of}; alpha is set to the rank`
        : `${differs} alpha ${round(alpha)}${of} that ${source} says; the latter is used`,
    );
  }
  if (differences > 0)
    notes.push(`LoRA: a difference is added to ${differences} tensor${differences === 1 ? '' : 's'}`);
  if (unused.length > 0) {
    const [belong, are] = unused.length === 1 ? ['belongs', 'is'] : ['belong', 'are'];
    const more = unused.length > SHOWN ? ` and ${unused.length - SHOWN} others` : '';
    all.push(
      `LoRA: ${unused.slice(0, SHOWN).join(', ')}${more} ${belong} to nothing in this network and ${are} left out`,
    );
  }
  return { warnings: all, notes };
}

/** A patch projection [dim, channels, p, p] given `extra` more input channels, all zero. */
export async function widenChannels(
  device: Device,
  parameters: Parameters,
  name: string,
  extra: number,
): Promise<void> {
  const target = parameters.tensors.get(name)!;
  // Floats of a byte are not written by kernels.
  const dtype = isPacked(target.dtype) ? 'f32' : target.dtype;
  const { out } = await evaluate(device, { out: cast(pad(parameter(target), 1, 0, extra), dtype) });
  parameters.replace(name, out);
}
