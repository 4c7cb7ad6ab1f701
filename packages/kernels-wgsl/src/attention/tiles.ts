/**
 * What the tiled kernels of both passes do alike: 64 invocations, (g, c) = (index / 8, index % 8), on tiles of 32
 * rows by 32 others. `row0` .. `row3` are an invocation's rows g, g + 8, ..; others 4c .. 4c + 3 are its scores'.
 */
export const TOKENS = 32;
export const THREADS = 64;
/** vec4s of a head that are in workgroup memory at once. */
const CHUNK = 8;

export const FOUR = [0, 1, 2, 3];
export const four = (line: (i: number) => string): string => FOUR.map(line).join('\n');

interface Chunk {
  /** First vec4 and their number. */
  readonly at: number;
  readonly width: number;
}

export const chunksOf = (vectors: number): Chunk[] =>
  Array.from({ length: Math.ceil(vectors / CHUNK) }, (_, i) => ({
    at: i * CHUNK,
    width: Math.min(CHUNK, vectors - i * CHUNK),
  }));

/** Others in the order 0, 4, 8 .. 1, 5, 9 .., so that invocations that score them read different banks. */
export const SCORED = '((row % 4u) * 8u + row / 4u)';

/** Fills \`tile\` with \`columns\` vec4s of 32 tokens: of \`row\`, whose first is element \`at\`, to line \`line\`. */
export const stage = (
  tile: string,
  stride: number,
  columns: number,
  at: string,
  value: string,
  line: string,
) => `
    for (var i = index; i < ${TOKENS * columns}u; i += ${THREADS}u) {
      let row = i / ${columns}u;
      let d = i % ${columns}u;
      let source = ${at} + d;
      ${tile}[${line} * ${stride}u + d] = ${value};
    }`;

/** into[r] += rows · others over the \`width\` vec4s of a chunk; \`own\` and \`other\` are tiles with their strides. */
export const scoreChunk = (
  into: string,
  width: number,
  own: { name: string; stride: number; at: number },
  other: { name: string; stride: number },
) => `
    for (var d = 0u; d < ${width}u; d++) {
      ${four((j) => `let o${j} = ${other.name}[(${j * 8}u + c) * ${other.stride}u + d];`)}
      ${four(
        (r) => `let m${r} = ${own.name}[row${r} * ${own.stride}u + ${own.at}u + d];
      ${into}${r} += vec4<f32>(${FOUR.map((j) => `dot(m${r}, o${j})`).join(', ')});`,
      )}
    }`;

/** sum(r) += weights of row r times vec4 c of all others, for a chunk of \`width\` vec4s. */
export const addChunk = (
  sum: (r: number) => string,
  width: number,
  other: { name: string; stride: number },
) => `
    if (c < ${width}u) {
      for (var k = 0u; k < ${TOKENS / 4}u; k++) {
        ${four((j) => `let o${j} = ${other.name}[(4u * k + ${j}u) * ${other.stride}u + c];`)}
        ${four(
          (r) => `let u${r} = weights[row${r} * 9u + k];
        ${sum(r)} = fma(vec4<f32>(u${r}.w), o3, fma(vec4<f32>(u${r}.z), o2, fma(vec4<f32>(u${r}.y), o1, fma(vec4<f32>(u${r}.x), o0, ${sum(r)}))));`,
        )}
      }
    }`;
