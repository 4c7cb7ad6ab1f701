/**
 * Quantized weights of safetensors under one set of names, however the file names them:
 *
 *     X             I8, F8_E4M3 or F8_E5M2 [N, K], or I4 [N, K], two to a byte, the lower half first
 *     X_scale       F32 or F16 [N, groups]
 *
 * Read are the layouts of compressed-tensors (`weight` or `weight_packed`, with `weight_scale`), optimum-quanto
 * (`weight._data`, `weight._scale`) and ComfyUI's scaled fp8 (`weight`, `scale_weight`). Weights in F8 without a scale
 * are what they say.
 */
import { elementCount } from '@dwm/kernels-wgsl';
import { InvalidFileError } from '../../errors.ts';
import { quote } from '../../text.ts';
import type { BlockForm } from './blocks.ts';
import { toFloat32 } from './convert.ts';
import { DTYPE_BITS } from './dtypes.ts';
import type { TensorEntry } from './header.ts';

/** Signed halves of a byte from those of compressed-tensors, which count from -8. */
const SIGNED: BlockForm = {
  ...{ stored: 8, made: 8 },
  unpack(blocks, out) {
    for (let i = 0; i < blocks.length; i++) out[i] = blocks[i] ^ 0x88;
  },
};

/** What goes with a weight, by the end of its name in place of `weight`. */
const SCALES = ['weight_scale', 'weight._scale', 'scale_weight'];
/** Of what is computed with, which stays f32 here, and marks. */
const UNUSED = /\.(input_scale|output_scale|scale_input|weight_shape)$|^scaled_fp8$/;

/** @throws InvalidFileError for a quantized weight that lacks its scale, or is in a form that is not read. */
export function inOneNaming(
  tensors: ReadonlyMap<string, TensorEntry>,
  file: string,
): ReadonlyMap<string, TensorEntry> {
  const packed = (name: string) => /\.weight(_packed|\._data)$/.test(name);
  const eight = ({ dtype }: TensorEntry) => dtype === 'I8' || dtype.startsWith('F8_');
  if (![...tensors].some(([name, entry]) => packed(name) || eight(entry))) return tensors;
  const found = new Map<string, TensorEntry>();
  for (const [name, entry] of tensors) {
    const isScale = SCALES.some((end) => name.endsWith(`.${end}`));
    if (isScale || UNUSED.test(name)) continue;
    const fail = (problem: string): never => {
      throw new InvalidFileError(file, `tensor ${quote(name)} ${problem}`, { tensor: name });
    };
    if (/\.weight(_zero_point|\._(shift|zero_point))$/.test(name))
      fail('is the zero point of a weight; quantize the model with symmetric scales');
    if (!packed(name) && !(name.endsWith('.weight') && eight(entry))) {
      found.set(name, entry);
      continue;
    }
    const module = name.replace(/\.weight(_packed|\._data)?$/, '');
    const target = `${module}.weight`;
    const weight = name.endsWith('_packed') ? unpacked(entry, fail) : entry;
    const scale = SCALES.map((end) => tensors.get(`${module}.${end}`)).find((one) => one);
    found.set(target, weight);
    if (scale) found.set(`${target}_scale`, scaleEntry(scale, weight.shape, fail));
    else if (!weight.dtype.startsWith('F8_'))
      fail(`has no scale beside it: ${module}.weight_scale is missing`);
  }
  return found;
}

function unpacked(entry: TensorEntry, fail: (problem: string) => never): TensorEntry {
  const { dtype, shape } = entry;
  if (dtype !== 'I32' || shape.length !== 2 || shape[1] % 2 !== 0)
    return fail(`is ${dtype} [${shape}], expected rows of pairs of I32, 8 numbers each`);
  return { ...entry, dtype: 'I4', shape: [shape[0], 8 * shape[1]], form: SIGNED };
}

/** One scale for all becomes one for each row; bf16 becomes f32. */
function scaleEntry(
  entry: TensorEntry,
  shape: readonly number[],
  fail: (problem: string) => never,
): TensorEntry {
  const { dtype } = entry;
  const [n, k] = shape;
  const count = elementCount(entry.shape);
  const groups = count === 1 ? 1 : count / n;
  if (shape.length !== 2 || !Number.isInteger(groups) || k % groups !== 0 || (k / groups) % 8 !== 0)
    return fail(
      `of shape [${shape}] has scales [${entry.shape}], expected [${n}, 1] or groups of a multiple of 8`,
    );
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16')
    return fail(`has scales in ${dtype}, expected F32, F16 or BF16`);
  const all = count === 1 && n > 1;
  if (!all && dtype !== 'BF16') return { ...entry, shape: [n, groups] };
  const bytes = DTYPE_BITS[dtype] / 8;
  const form: BlockForm = {
    ...{ stored: bytes, made: all ? 4 * n : 4 },
    unpack(blocks, out) {
      const values = toFloat32({ dtype, data: blocks });
      const made = new Float32Array(out.buffer, out.byteOffset, out.byteLength / 4);
      if (all) made.fill(values[0]);
      else made.set(values);
    },
  };
  return { ...entry, dtype: 'F32', shape: [n, groups], form };
}
