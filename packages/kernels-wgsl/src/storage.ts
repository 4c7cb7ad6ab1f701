/**
 * Storage bindings by dtype. f32, i32 and u32 are arrays of themselves. f16 is `array<f16>` where the device
 * has `shader-f16` and packed words elsewhere; bf16 is always packed words, two elements a word, low half
 * first, bytes four a word and i4 eight, the lowest bits first. `load` and `store` hide the difference; values inside
 * a kernel are f32, i32 or u32.
 */
import type { DeviceCaps } from './caps.ts';
import { type DType, isPacked, type PackedDType, valueType } from './dtype.ts';
import { UnsupportedError } from './errors.ts';

/** Elements that an invocation handles in a step. */
export type Lanes = 1 | 4;

const nativeF16 = (dtype: DType, caps: DeviceCaps): boolean => dtype === 'f16' && caps.features.f16;

/** `enable f16;` when one of the dtypes is bound as native f16. */
export const enables = (dtypes: readonly DType[], caps: DeviceCaps): string =>
  dtypes.some((dtype) => nativeF16(dtype, caps)) ? 'enable f16;\n' : '';

/** WGSL type of a value of `lanes` elements. */
export const lanesType = (dtype: DType, lanes: Lanes): string =>
  lanes === 1 ? valueType(dtype) : `vec4<${valueType(dtype)}>`;

function elementType(dtype: DType, lanes: Lanes, caps: DeviceCaps): string {
  if (nativeF16(dtype, caps)) return lanes === 1 ? 'f16' : 'vec4<f16>';
  if (dtype === 'f16' || dtype === 'bf16') return lanes === 1 ? 'u32' : 'vec2<u32>';
  if (dtype === 'u8' || isPacked(dtype)) return 'u32';
  return lanesType(dtype, lanes);
}

/** `var<storage, …>` declaration of binding `index` of group 0; with `block`, an array of arrays of so many. */
export function declare(
  index: number,
  name: string,
  dtype: DType,
  access: 'read' | 'read_write',
  caps: DeviceCaps,
  lanes: Lanes = 1,
  block?: number,
): string {
  const element = elementType(dtype, lanes, caps);
  const type = block === undefined ? element : `array<${element}, ${block}>`;
  return `@group(0) @binding(${index}) var<storage, ${access}> ${name}: array<${type}>;`;
}

/**
 * Expression that loads element `i` (`lanes` = 1) or the four elements from 4·i on (`lanes` = 4), as f32, i32
 * or u32. `i` is used twice, so it should be a name.
 */
export function load(name: string, dtype: DType, i: string, caps: DeviceCaps, lanes: Lanes = 1): string {
  if (nativeF16(dtype, caps)) return `${lanesType(dtype, lanes)}(${name}[${i}])`;
  if (dtype === 'f16') {
    return lanes === 1
      ? `unpack2x16float(${name}[(${i}) >> 1u])[(${i}) & 1u]`
      : `vec4<f32>(unpack2x16float(${name}[${i}].x), unpack2x16float(${name}[${i}].y))`;
  }
  if (dtype === 'bf16') {
    return lanes === 1
      ? `bitcast<f32>((${name}[(${i}) >> 1u] >> (((${i}) & 1u) * 16u)) << 16u)`
      : `bitcast<vec4<f32>>(vec4<u32>(${name}[${i}].x << 16u, ${name}[${i}].x & 0xffff0000u, ${name}[${i}].y << 16u, ${name}[${i}].y & 0xffff0000u))`;
  }
  if (dtype === 'u8') return `${lanesType(dtype, lanes)}(${loadBytes(name, i, lanes)})`;
  if (isPacked(dtype)) return loadPacked(name, dtype, i, lanes);
  return `${name}[${i}]`;
}

const loadBytes = (name: string, i: string, lanes: Lanes): string =>
  lanes === 1
    ? `(${name}[(${i}) >> 2u] >> (((${i}) & 3u) * 8u)) & 0xffu`
    : `(vec4<u32>(${name}[${i}]) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu)`;

function loadPacked(name: string, dtype: PackedDType, i: string, lanes: Lanes): string {
  const four = (type: string, values: readonly number[]) => `vec4<${type}>(${values.join(', ')})`;
  if (dtype === 'i8' || dtype === 'i4') {
    const bits = dtype === 'i8' ? 8 : 4;
    const perWord = 32 / bits;
    const word = `bitcast<i32>(${name}[(${i}) / ${perWord / lanes}u])`;
    const first = `((${i}) % ${perWord / lanes}u) * ${bits * lanes}u`;
    if (lanes === 1) return `f32(extractBits(${word}, ${first}, ${bits}u))`;
    // Up to the sign, and down again with it.
    const up = four(
      'u32',
      [0, 1, 2, 3].map((j) => 32 - bits - j * bits),
    );
    return `vec4<f32>((vec4<i32>(${word}) << (${up} - vec4<u32>(${first}))) >> vec4<u32>(${32 - bits}u))`;
  }
  const splat = (type: string, value: string) => (lanes === 1 ? value : `vec4<${type}>(${value})`);
  const [u, f] = lanes === 1 ? ['u32', 'f32'] : ['vec4<u32>', 'vec4<f32>'];
  const byte = `(${loadBytes(name, i, lanes)})`;
  const shifted = (value: string, by: number) => `(${value} << ${splat('u32', `${by}u`)})`;
  if (dtype === 'e5m2') {
    // The upper byte of an f16.
    if (lanes === 1) return `unpack2x16float(${shifted(byte, 8)}).x`;
    const word = `${name}[${i}]`;
    const half = (of: string) => `unpack2x16float(((${of} & 0xffu) << 8u) | ((${of} & 0xff00u) << 16u))`;
    return `vec4<f32>(${half(word)}, ${half(`(${word} >> 16u)`)})`;
  }
  const magnitude = `(${byte} & ${splat('u32', '0x7fu')})`;
  const sign = shifted(`(${byte} & ${splat('u32', '0x80u')})`, 24);
  const normal = `(${shifted(magnitude, 20)} + ${splat('u32', '0x3c000000u')})`;
  const small = `bitcast<${u}>(${f}(${magnitude}) * ${2 ** -9})`;
  const finite = `select(${normal}, ${small}, ${magnitude} < ${splat('u32', '8u')})`;
  const bits = `select(${finite}, ${splat('u32', '0x7fc00000u')}, ${magnitude} == ${splat('u32', '0x7fu')})`;
  return `bitcast<${f}>(${bits} | ${sign})`;
}

/** Whether one invocation may write a single element of this dtype (packed ones share a word). */
export const storesSingly = (dtype: DType, caps: DeviceCaps): boolean =>
  dtype === 'f16' ? caps.features.f16 : dtype !== 'bf16' && dtype !== 'u8' && !isPacked(dtype);

/** Largest finite f16: stores saturate instead of making infinities. */
const F16_MAX = '65504.0';

/** @throws UnsupportedError for a packed dtype, known before any code is put together. */
export function requireWritten(dtype: DType): void {
  if (isPacked(dtype)) throw new UnsupportedError(`no kernel writes ${dtype}; it is for weights only`);
}

/** Statement that stores `value`; for a packed dtype `lanes` must be 4. */
export function store(
  name: string,
  dtype: DType,
  i: string,
  value: string,
  caps: DeviceCaps,
  lanes: Lanes = 1,
): string {
  requireWritten(dtype);
  const splat = (x: string) => (lanes === 1 ? x : `vec4<f32>(${x})`);
  if (dtype === 'f16') {
    const clamped = `clamp(${value}, ${splat(`-${F16_MAX}`)}, ${splat(F16_MAX)})`;
    if (nativeF16(dtype, caps)) return `${name}[${i}] = ${lanes === 1 ? 'f16' : 'vec4<f16>'}(${clamped});`;
    return `{ let packed = ${clamped}; ${name}[${i}] = vec2<u32>(pack2x16float(packed.xy), pack2x16float(packed.zw)); }`;
  }
  if (dtype === 'bf16') return `${name}[${i}] = packBf16(${value});`;
  if (dtype === 'u8') {
    return `{ let bytes = vec4<u32>(clamp(${value}, vec4<f32>(0), vec4<f32>(255))); ${name}[${i}] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u); }`;
  }
  return `${name}[${i}] = ${value};`;
}

/** Round-to-nearest-even packing of four floats into bf16, for kernels that store bf16. NaN stays NaN. */
export const PACK_BF16 = `fn packBf16(value: vec4<f32>) -> vec2<u32> {
  let bits = bitcast<vec4<u32>>(value);
  let rounded = (bits + 0x7fffu + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u))) >> vec4<u32>(16u);
  let isNan = (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
  let half = select(rounded, (bits >> vec4<u32>(16u)) | vec4<u32>(0x40u), isNan);
  return vec2<u32>(half.x | (half.y << 16u), half.z | (half.w << 16u));
}
`;
