/**
 * Gradients of softmax attention from the log-sum-exp of the forward pass (Dao et al. 2022, algorithm 4), in
 * f32 and without atomics. With g the gradient of the output and all scores computed again:
 *
 *     p[i, j]  = exp(scale · q[i] · k[j] + bias[i, j] - lse[i])
 *     ds[i, j] = p[i, j] (g[i] · v[j] - delta[i]),          delta[i] = g[i] · out[i] - (gradient of lse)[i]
 *     dq[i]    = scale · sum over j of ds[i, j] k[j]
 *     dk[j]    = scale · sum over i of ds[i, j] q[i],       dv[j] = sum over i of p[i, j] g[i]
 *     dbias    = ds, summed over what the bias is broadcast along
 *
 * Layout: as in `attention.ts`; g like out, statistics [batch, heads, queries, 2] = (lse, delta).
 * Lowerings: `statistics` from out, g, lse and, where given, the gradient of lse; `queries` writes dq, by
 * queries that go through the keys; `keys` writes dk and dv, by keys that go through the queries; `bias`
 * writes dbias. The last three take q, k, v, g, statistics, then the bias and the mask where there are; `keys`
 * takes no mask: rows of masked keys come out as nonsense, to be replaced by zero.
 */
import { cpuLanes, type DeviceCaps } from '../caps.ts';
import { bytesOf } from '../dtype.ts';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type KernelTarget, type Lowering, lowerChosen, read, type Variant, write } from '../kernel.ts';
import { elementCount } from '../pointwise/access.ts';
import {
  type Bound,
  biasBound,
  biasStrides,
  maskBound,
  type Section,
  size,
  statisticsBound,
  tokensBound,
} from './cut.ts';
import { rowsSweep, sweepCandidates } from './rows-sweep.ts';
import { type AttentionKernel, type AttentionSpec, lowerSections, type TokenWork } from './sections.ts';
import { tiledSweep } from './tiled-sweep.ts';

const WORKGROUP = 64;

/** (lse, delta) of every query; a gradient of the log-sum-exp itself is input 3. */
export function lowerAttentionStatistics(
  spec: AttentionSpec,
  lseGradient: boolean,
  caps: DeviceCaps,
): Lowering {
  const { bias, ...unbiased } = spec;
  const { dispatches } = lowerSections(
    unbiased,
    caps,
    {
      label: 'statistics',
      rows: WORKGROUP,
      rowsEach: 1,
      enables: '',
      main: () => `
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let index = ${WORKGROUP_INDEX};
  let query = index % params.blocks * ${WORKGROUP}u + lane;
  if (index >= params.workgroups || query >= params.queries) { return; }
  let head = index / params.blocks % params.heads;
  let batch = index / params.blocks / params.heads;
  let at = queryAt(batch, head, query);
  var delta = 0.0;
  for (var d = 0u; d < params.vectors; d++) { delta += dot(load_out(at + d), load_g(at + d)); }
  let of_query = statisticsAt(batch, head, query);
  ${lseGradient ? 'delta -= lseGradient[params.lseGradientAt + of_query];' : ''}
  statistics[params.statisticsAt + of_query] = vec2<f32>(lse[params.lseAt + of_query], delta);
}
`,
    },
    {
      own: 'query',
      otherBytes: 0,
      products: 0,
      bounds: () => [
        tokensBound(spec, caps, 'out', read(0), 'f32'),
        tokensBound(spec, caps, 'g', read(1), 'f32'),
        statisticsBound(spec, caps, 'lse', read(2), 1),
        ...(lseGradient ? [statisticsBound(spec, caps, 'lseGradient', read(3), 1)] : []),
        statisticsBound(spec, caps, 'statistics', write(0), 2),
      ],
    },
  );
  return { dispatches, scratch: [] };
}

/** What the kernels read, in the order of their inputs. */
const inputBounds = (spec: AttentionSpec, mask: boolean, caps: DeviceCaps): Bound[] => [
  tokensBound(spec, caps, 'q', read(0), spec.dtypes.q),
  tokensBound(spec, caps, 'k', read(1), spec.dtypes.k),
  tokensBound(spec, caps, 'v', read(2), spec.dtypes.v),
  tokensBound(spec, caps, 'g', read(3), 'f32'),
  statisticsBound(spec, caps, 'statistics', read(4), 2),
  ...(spec.bias ? [biasBound(spec, caps, 'bias', read(5), spec.bias.dtype)] : []),
  ...(mask ? [maskBound(spec, caps, read(spec.bias ? 6 : 5))] : []),
];

/** Whose gradients a sweep writes; it goes through the others. */
type SweepSide = 'query' | 'key';

function sweepWork(spec: AttentionSpec, own: SweepSide, caps: DeviceCaps): TokenWork {
  const { heads, headDim, dtypes } = spec;
  const other = own === 'query' ? Math.max(bytesOf(dtypes.k), bytesOf(dtypes.v)) : 4;
  return {
    own,
    otherBytes: heads * headDim * other,
    products: own === 'query' ? 3 : 4,
    bounds: () => [
      ...inputBounds(spec, own === 'query' && spec.mask, caps),
      ...(own === 'query'
        ? [tokensBound(spec, caps, 'dq', write(0), 'f32')]
        : [tokensBound(spec, caps, 'dk', write(0), 'f32'), tokensBound(spec, caps, 'dv', write(1), 'f32')]),
    ],
  };
}

interface SweepSpec extends AttentionSpec {
  readonly own: SweepSide;
}

const lowerSweep = (spec: SweepSpec, caps: DeviceCaps, kernel: AttentionKernel): Lowering => ({
  dispatches: lowerSections(spec, caps, kernel, sweepWork(spec, spec.own, caps)).dispatches,
  scratch: [],
});

const ATTENTION_SWEEP_VARIANTS: readonly Variant<SweepSpec>[] = [
  {
    name: 'rows',
    applies: (_, caps) => cpuLanes(caps) > 0,
    candidates: (spec, caps) => sweepCandidates(spec, spec.own, cpuLanes(caps)).map((rows) => ({ rows })),
    lower(spec, caps, tuning) {
      const lanes = cpuLanes(caps);
      const rows = tuning?.rows ?? sweepCandidates(spec, spec.own, lanes)[0];
      return lowerSweep(spec, caps, rowsSweep(spec, spec.own, lanes, rows));
    },
  },
  {
    name: 'tiled',
    applies: () => true,
    lower: (spec, caps) => lowerSweep(spec, caps, tiledSweep(spec, spec.own)),
  },
];

/** dq (own 'query'), or dk and dv (own 'key'). */
export const lowerAttentionBackward = (spec: AttentionSpec, own: SweepSide, target: KernelTarget): Lowering =>
  lowerChosen('attention backward', ATTENTION_SWEEP_VARIANTS, { ...spec, own }, target);

/**
 * dbias: one invocation an element, which goes through what it is broadcast along, in order. A sum's inner
 * loop is added up apart, so that long sums stay accurate.
 */
export function lowerAttentionBiasBackward(spec: AttentionSpec, caps: DeviceCaps): Lowering {
  const axes = ['batch', 'head', 'query', 'key'] as const;
  const strides = biasStrides(spec);
  const sizes = [spec.batch, spec.heads, spec.queries, spec.keys];
  const summed = (d: number) => strides[d] === 0;
  const counts = ['params.batches', 'params.heads', 'params.queries', 'params.keys'];
  const own = (section: Section) =>
    elementCount(axes.map((axis, d) => (summed(d) ? 1 : size(section[axis]))));
  const loops = axes.filter((_, d) => summed(d));
  const inner = loops[loops.length - 1];
  const { dispatches } = lowerSections(
    spec,
    caps,
    {
      label: 'bias',
      rows: WORKGROUP,
      rowsEach: 1,
      enables: '',
      main: () => `
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let index = ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  var rest = index;
  ${[3, 2, 1, 0]
    .filter((d) => !summed(d))
    .map((d) => `let ${axes[d]} = rest % ${counts[d]}; rest /= ${counts[d]};`)
    .join('\n  ')}
  if (rest > 0u) { return; }
  var total = 0.0;
  ${loops
    .map((axis, n) => {
      const d = axes.indexOf(axis);
      const start = axis === inner ? 'var part = 0.0; ' : '';
      return `${start}for (var ${loops[n]} = 0u; ${axis} < ${counts[d]}; ${axis}++) {`;
    })
    .join('\n  ')}
    let queryAt = queryAt(batch, head, query);
    let keyAt = keyAt(batch, head) + key * params.tokenStride;
    var score = 0.0;
    var value = 0.0;
    for (var d = 0u; d < params.vectors; d++) {
      score += dot(load_q(queryAt + d), load_k(keyAt + d));
      value += dot(load_g(queryAt + d), load_v(keyAt + d));
    }
    let about = statistics[params.statisticsAt + statisticsAt(batch, head, query)];
    let biased = params.scale * score + biasOf(batch, head, query, key) + keyScore(batch, key);
    ${inner ? 'part' : 'total'} += exp(biased - about.x) * (value - about.y);
  ${[...loops]
    .reverse()
    .map((axis) => (axis === inner ? '} total += part;' : '}'))
    .join(' ')}
  let o = params.dbiasAt + ${
    axes
      .filter((_, d) => !summed(d))
      .map((axis) => `${axis} * params.bias${axis[0].toUpperCase()}${axis.slice(1)}`)
      .join(' + ') || '0u'
  };
  if (params.first == 0u) { total += dbias[o]; }
  dbias[o] = total;
}
`,
    },
    {
      own: 'query',
      otherBytes: spec.heads * spec.headDim * Math.max(bytesOf(spec.dtypes.k), bytesOf(spec.dtypes.v)),
      products: 2,
      bounds: () => [...inputBounds(spec, spec.mask, caps), biasBound(spec, caps, 'dbias', write(0), 'f32')],
      workgroups: (section) => Math.ceil(own(section) / WORKGROUP),
      // Sections come in the order of their starts, so the first to touch an element starts every sum.
      first: (section) => axes.every((axis, d) => !summed(d) || sizes[d] === 1 || section[axis][0] === 0),
    },
  );
  return { dispatches, scratch: [] };
}
