/**
 * Parameters of a network: declared as names and shapes before anything is read, checked against the
 * checkpoint's header as a whole, then streamed to the device in the dtype of the file, quantized ones with their
 * scales. A file larger than the JavaScript heap loads through one 4 MiB buffer.
 */
import {
  bytesOf,
  cast,
  type Device,
  DeviceTensor,
  type DType,
  elementCount,
  InvalidArgumentError,
  InvalidFileError,
  isPacked,
  parameter,
  permute,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import type { Checkpoint, SafetensorsDtype } from '@dwm/core-tensor/files';
import { withScales } from './quantized.ts';
import { Rewriter } from './rewriter.ts';

/** What the network expects under one name. */
export interface ParameterSpec {
  /** As in the file, which is as PyTorch has it. */
  readonly shape: readonly number[];
  /** Order of the file's dimensions on the device, where the kernels want another than PyTorch's. */
  readonly order?: readonly number[];
}

/** Weights of a network, by name. */
export type ParameterSpecs = Readonly<Record<string, ParameterSpec>>;

/** What a network's weights are on a device, by name, the scales of quantized ones among them. */
export type StoredAs = (specs: ParameterSpecs) => Readonly<Record<string, TensorSpec>>;

/** The shape of a parameter on the device. */
export const deviceShape = ({ shape, order }: ParameterSpec): readonly number[] =>
  order ? order.map((d) => shape[d]) : shape;

const DTYPES: Partial<Record<SafetensorsDtype, DType>> = {
  ...{ F32: 'f32', F16: 'f16', BF16: 'bf16' },
  ...{ I8: 'i8', I4: 'i4', F8_E4M3: 'e4m3', F8_E5M2: 'e5m2' },
};

/** The dtype on the device of a weight that is stored as `dtype`; nothing for one that no network takes. */
export const storedDtype = (dtype: SafetensorsDtype): DType | undefined => DTYPES[dtype];

/** Bytes that are read at a time. */
const CHUNK = 4 << 20;
/** Bytes that may wait in a device's staging copies: memory stays flat however large the file is. */
const STAGED = 128 << 20;
const staging = () => ({ bytes: 0 });

/** Reads a weight of the file into `tensor`. */
export async function fillTensor(
  tensor: DeviceTensor,
  checkpoint: Checkpoint,
  stored: string,
  onBytes?: (bytes: number) => void,
): Promise<void> {
  const { device } = tensor;
  const staged = device.once(staging);
  for await (const { offset, bytes } of checkpoint.streamTensor(stored, CHUNK)) {
    tensor.writeBytes(bytes, offset);
    staged.bytes += bytes.byteLength;
    if (staged.bytes >= STAGED) {
      staged.bytes = 0;
      await device.done();
    }
    onBytes?.(bytes.byteLength);
  }
}

/** The weights of one network on one device. */
export class Parameters {
  readonly #tensors: Map<string, DeviceTensor>;
  /** Of each LoRA that is beside the weights: its scales, and what they are multiplied with by its own file. */
  readonly besides: Map<DeviceTensor, number>[] = [];

  constructor(tensors: Map<string, DeviceTensor>) {
    this.#tensors = tensors;
  }

  get tensors(): ReadonlyMap<string, DeviceTensor> {
    return this.#tensors;
  }

  /** Puts a tensor under a name, and frees the one that it replaces. */
  replace(name: string, tensor: DeviceTensor): void {
    this.#tensors.get(name)?.destroy();
    this.#tensors.set(name, tensor);
  }

  /** The symbol of a weight, for a trace. */
  get(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new InvalidArgumentError('name', `there is no parameter ${name}`);
    return parameter(tensor);
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** Bytes on the device. */
  get bytes(): number {
    let total = 0;
    for (const tensor of this.#tensors.values()) total += tensor.buffer.bytes;
    return total;
  }

  destroy(): void {
    for (const tensor of this.#tensors.values()) tensor.destroy();
  }
}

/** Convolution weights [Cout, Cin, …kernel] become [...kernel, Cin, Cout], rows of output channels. */
export const convolution = (shape: readonly number[]): ParameterSpec => ({
  shape,
  order: [...shape.keys()].slice(2).concat(1, 0),
});

/**
 * Loads every parameter in `specs` from `checkpoint`.
 *
 * @throws InvalidFileError naming file, tensor and expected shape, for the first that is missing, of another
 *   shape or dtype, or not part of the network; before any weight is read.
 */
export async function loadParameters(
  device: Device,
  checkpoint: Checkpoint,
  given: ParameterSpecs,
  options: {
    /** Tensors of the file that the network does not use and that may be there all the same. */
    readonly ignore?: (name: string) => boolean;
    /** The file's name of a parameter, where it is another than the network's. */
    readonly stored?: (name: string) => string;
    /** Which parameters are loaded, by the network's name; all unless told. All are checked. */
    readonly only?: (name: string) => boolean;
    readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  } = {},
): Promise<Parameters> {
  const scaled = withScales({ checkpoint, specs: given, ...(options.stored && { stored: options.stored }) });
  const { specs, stored = (name: string) => name } = scaled;
  checkNames(checkpoint, specs, stored, options.ignore);
  const wanted = Object.entries(specs).filter(([name]) => options.only?.(name) ?? true);
  let totalBytes = 0;
  for (const [name] of wanted) {
    const { dtype, shape } = checkpoint.tensors.get(stored(name))!;
    totalBytes += elementCount(shape) * bytesOf(DTYPES[dtype]!);
  }
  let doneBytes = 0;
  const onBytes = (bytes: number) => {
    doneBytes += bytes;
    options.onProgress?.(doneBytes, totalBytes);
  };
  const tensors = new Map<string, DeviceTensor>();
  const rewriter = new Rewriter(device);
  try {
    for (const [name, { shape, order }] of wanted) {
      const dtype = DTYPES[checkpoint.tensors.get(stored(name))!.dtype]!;
      const asStored = { shape, dtype };
      if (!order) {
        const tensor = new DeviceTensor(device, asStored, name);
        tensors.set(name, tensor);
        await fillTensor(tensor, checkpoint, stored(name), onBytes);
        continue;
      }
      const { buffer, run } = await rewriter.rewriting(
        { weight: asStored },
        `order ${order}`,
        ({ weight }) => {
          const turned = permute(weight, order);
          return isPacked(dtype) ? cast(turned, 'f32') : turned;
        },
      );
      await fillTensor(buffer('weight'), checkpoint, stored(name), onBytes);
      tensors.set(name, (await run()).clone(name));
    }
    await device.done();
  } catch (error) {
    for (const tensor of tensors.values()) tensor.destroy();
    throw error;
  } finally {
    rewriter.destroy();
  }
  return new Parameters(tensors);
}

/** The dtype on the device of one tensor. @throws InvalidFileError as `loadParameters`. */
export function checkEntry(
  { name: file, tensors }: Pick<Checkpoint, 'name' | 'tensors'>,
  name: string,
  shape: readonly number[],
): DType {
  const entry = tensors.get(name);
  if (!entry) {
    throw new InvalidFileError(file, `tensor ${name} is missing; expected shape [${shape}]`, {
      field: name,
      expected: shape,
    });
  }
  if (entry.shape.join() !== shape.join()) {
    throw new InvalidFileError(
      file,
      `tensor ${name} has shape [${entry.shape}], expected [${shape}]; does config.json belong to these weights?`,
      { field: name, expected: shape, actual: entry.shape },
    );
  }
  const dtype = DTYPES[entry.dtype];
  if (dtype) return dtype;
  throw new InvalidFileError(file, `tensor ${name} has dtype ${entry.dtype}, expected F32, F16 or BF16`, {
    field: name,
    expected: Object.keys(DTYPES),
    actual: entry.dtype,
  });
}

/** @throws InvalidFileError as `loadParameters`. */
export function checkNames(
  checkpoint: Checkpoint,
  specs: ParameterSpecs,
  stored: (name: string) => string,
  ignore?: (name: string) => boolean,
): void {
  const expected = new Set<string>();
  for (const [own, { shape }] of Object.entries(specs)) {
    const name = stored(own);
    expected.add(name);
    checkEntry(checkpoint, name, shape);
  }
  for (const name of checkpoint.tensors.keys()) {
    if (!expected.has(name) && !ignore?.(name)) {
      throw new InvalidFileError(
        checkpoint.name,
        `tensor ${name} is not part of this network; does config.json belong to these weights?`,
        { field: name },
      );
    }
  }
}
