/**
 * DWM's fine-tuned weights on top of a base: low-rank updates merged into the weights they belong to, and
 * the few tensors that were trained whole put in place.
 */
import {
  add,
  cast,
  type Device,
  type DeviceTensor,
  elementCount,
  evaluate,
  InvalidFileError,
  isPacked,
  matmul,
  mul,
  parameter,
  reshape,
  spec,
  type Tensor,
} from '@dwm/core-tensor';
import { type Checkpoint, toFloat32, toNumbers } from '@dwm/core-tensor/files';
import { ownShape, widened } from './input-channels.ts';
import { closeLoras, type GivenLoras, type LoraFiles, openLoras } from './lora-files.ts';
import { type LoraLayer, type LoraNames, loraNames, type NamingOptions, wholeNames } from './lora-names.ts';
import { type LoraScale, layerValue, loraScale } from './lora-scale.ts';
import { keepBeside } from './low-rank.ts';
import {
  checkEntry,
  checkNames,
  fillTensor,
  loadParameters,
  type ParameterSpecs,
  type Parameters,
  storedDtype,
} from './parameters.ts';
import { isLinearWeight } from './quantized.ts';
import { Rewriter } from './rewriter.ts';

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
  const names = namesOf(lora, targets, naming);
  for (const [module, layer] of names.layers) productShape(lora, shapeOf(`${module}.weight`), layer);
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

/** What a LoRA is to a network of these names. @throws InvalidFileError where it is of another one. */
function namesOf(lora: Checkpoint, targets: ReadonlySet<string>, naming: NamingOptions): LoraNames {
  const names = loraNames(lora.name, lora.tensors.keys(), targets, naming);
  if (names.layers.size > 0 || names.differences.size > 0) return names;
  const [first] = names.unused;
  throw new InvalidFileError(
    lora.name,
    first === undefined
      ? 'holds no LoRA weights'
      : `holds no LoRA weights of this network; ${first} and the like belong to no layer of it`,
  );
}

/** Of a tensor that goes in the place of one of `wide` shape. @throws InvalidFileError where it does not fit. */
function wholeShape(file: Checkpoint, stored: string, wide: readonly number[]): readonly number[] {
  const shape = ownShape(file.tensors.get(stored)!.shape, wide);
  checkEntry(file, stored, shape);
  return shape;
}

/** What plans know of LoRAs. */
export interface LoraNeeds {
  readonly count: number;
  /** Of their tensors. */
  readonly bytes: number;
}

/**
 * What LoRAs take, from their headers.
 * @throws InvalidFileError for one that does not fit the network, as its merge would.
 */
export async function loraNeeds(
  given: GivenLoras,
  { tensors }: Pick<Parameters, 'tensors'>,
  naming: NamingOptions = {},
): Promise<LoraNeeds> {
  const opened = await openLoras(given);
  try {
    const targets = new Set(tensors.keys());
    let bytes = 0;
    const checkWhole = (file: Checkpoint, names: ReadonlyMap<string, string>) => {
      for (const [name, stored] of names) wholeShape(file, stored, tensors.get(name)!.shape);
    };
    for (const { files } of opened) {
      const { lora, whole } = files;
      const names = namesOf(lora, targets, naming);
      for (const [module, layer] of names.layers) {
        productShape(lora, tensors.get(`${module}.weight`)!.shape, layer);
        if (layer.alpha !== undefined) await readNumber(lora, layer.alpha);
      }
      checkWhole(lora, names.whole);
      checkWhole(lora, names.differences);
      if (whole) checkWhole(whole, wholeNames(whole.tensors.keys(), targets).whole);
      for (const { begin, end } of lora.tensors.values()) bytes += end - begin;
    }
    return { count: opened.length, bytes };
  } finally {
    await closeLoras(opened);
  }
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
      const { rank, outputs, rest } = productShape(lora, target.shape, layer);
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
function productShape(lora: Checkpoint, target: readonly number[], { down, up }: LoraLayer) {
  const [given, storedUp] = [down, up].map((name) => lora.tensors.get(name)!.shape);
  const [rank] = given;
  const [outputs] = target;
  const [, ...rest] = ownShape(given, [rank, ...target.slice(1)]);
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
  const shape = wholeShape(file, stored, target.shape);
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
    const shape = wholeShape(file, stored, target.shape);
    const loaded = await loadParameters(device, file, { [stored]: { shape } }, { ignore: () => true });
    if (shape === target.shape) parameters.replace(name, loaded.tensors.get(stored)!);
    else {
      const wide = cast(widened(loaded.get(stored), target.shape), target.dtype);
      const { out } = await evaluate(device, { out: wide }).finally(() => loaded.destroy());
      parameters.replace(name, out);
    }
  }
}
