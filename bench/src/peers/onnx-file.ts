/**
 * Just enough of ONNX's file format to describe a benchmark: a graph of standard operators, written as
 * protobuf by hand (field numbers from onnx/onnx.proto3).
 */

/** A whole number, whole numbers, a string, or `{ float }`. */
export type Attribute = number | readonly number[] | string | { readonly float: number };

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  /** `output` where nothing is said. */
  readonly output?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** `com.microsoft` for onnxruntime's own operators. */
  readonly domain?: string;
}

export interface OnnxTensor {
  readonly shape: readonly number[];
  /** Float32Array for f32, plain numbers for int64. */
  readonly data: Float32Array | readonly number[];
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  /** Shapes of the f32 inputs. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly initializers: Readonly<Record<string, OnnxTensor>>;
  /** Shape of the one output, f32, named `output`. */
  readonly output: readonly number[];
}

const IR_VERSION = 10;
const OPSET = 21;
const FLOAT = 1;
const INT64 = 7;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 };

/** The bytes of an ONNX model. */
export function encodeOnnx(graph: OnnxGraph): Uint8Array {
  const domains = new Set(graph.nodes.map(({ domain }) => domain ?? ''));
  const opsets = [...domains].map((domain) =>
    bytes(8, text(1, domain), integer(2, domain === '' ? OPSET : 1)),
  );
  return join(integer(1, IR_VERSION), bytes(7, encodeGraph(graph)), ...opsets);
}

function encodeGraph({ nodes, inputs, initializers, output }: OnnxGraph): Uint8Array {
  return join(
    ...nodes.map((node, i) => bytes(1, encodeNode(node, `node${i}`))),
    text(2, 'bench'),
    ...Object.entries(initializers).map(([name, tensor]) => bytes(5, encodeTensor(name, tensor))),
    ...Object.entries(inputs).map(([name, shape]) => bytes(11, encodeValueInfo(name, shape))),
    bytes(12, encodeValueInfo('output', output)),
  );
}

function encodeNode({ op, inputs, output = 'output', attributes = {}, domain }: OnnxNode, name: string) {
  return join(
    ...inputs.map((input) => text(1, input)),
    text(2, output),
    text(3, name),
    text(4, op),
    ...Object.entries(attributes).map(([key, value]) => bytes(5, encodeAttribute(key, value))),
    ...(domain ? [text(7, domain)] : []),
  );
}

function encodeAttribute(name: string, value: Attribute): Uint8Array {
  const type = (kind: keyof typeof ATTRIBUTE_TYPE) => integer(20, ATTRIBUTE_TYPE[kind]);
  if (typeof value === 'string') return join(text(1, name), text(4, value), type('string'));
  if (typeof value === 'number') return join(text(1, name), integer(3, value), type('int'));
  if ('float' in value) return join(text(1, name), float(2, value.float), type('float'));
  return join(text(1, name), ...value.map((v) => integer(8, v)), type('ints'));
}

function encodeTensor(name: string, { shape, data }: OnnxTensor): Uint8Array {
  const isFloat = data instanceof Float32Array;
  const raw = isFloat
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(BigInt64Array.from(data, BigInt).buffer);
  return join(
    ...shape.map((size) => integer(1, size)),
    integer(2, isFloat ? FLOAT : INT64),
    text(8, name),
    bytes(9, raw),
  );
}

function encodeValueInfo(name: string, shape: readonly number[]): Uint8Array {
  const dims = shape.map((size) => bytes(1, integer(1, size)));
  return join(text(1, name), bytes(2, bytes(1, integer(1, FLOAT), bytes(2, ...dims))));
}

function varint(value: number): Uint8Array {
  const out: number[] = [];
  // Negative numbers take the ten bytes of their 64-bit two's complement.
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
  return Uint8Array.from(out);
}

const integer = (field: number, value: number): Uint8Array => join(varint(field << 3), varint(value));

const float = (field: number, value: number): Uint8Array =>
  join(varint((field << 3) | 5), new Uint8Array(Float32Array.of(value).buffer));

function bytes(field: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = join(...parts);
  return join(varint((field << 3) | 2), varint(body.length), body);
}

const text = (field: number, value: string): Uint8Array => bytes(field, new TextEncoder().encode(value));

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
