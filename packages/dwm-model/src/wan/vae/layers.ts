/**
 * What Wan's encoder and decoder are made of. Clips are channels-last inside: [batch, frames, height, width, channels].
 * The first stretch is one frame, and before it there are zeros; every convolution with taps in time remembers what it
 * needs of the frames behind it.
 */
import {
  add,
  broadcastTo,
  concat,
  constant,
  conv3d,
  matmul,
  mul,
  nextCache,
  pad,
  permute,
  reshape,
  rmsNorm,
  silu,
  slice,
  softmax,
  type Tensor,
} from '@dwm/core-tensor';
import { frameConv, type Passage } from '../../vae/layers.ts';
import type { Block } from './structure.ts';

/** Elements of scores that attention holds at a time. */
const MAX_SCORES = 1 << 25;

/** A norm this small counts as this: 1e-12 of the vector's length. */
const LEAST_LENGTH = 1e-12;

const SAME = { top: 1, bottom: 1, left: 1, right: 1 };

const zeros = (shape: readonly number[]): Tensor =>
  add(broadcastTo(constant(new Float32Array(1), [1]), shape), 0);

/** x / max(|x|, 1e-12) · sqrt(C) · gamma, |x| over the channels. */
function norm({ parameters }: Passage, name: string, x: Tensor): Tensor {
  const channels = x.shape[x.shape.length - 1];
  const gamma = reshape(parameters.get(`${name}.gamma`), [channels]);
  return rmsNorm(x, { eps: LEAST_LENGTH ** 2 / channels, gamma });
}

/** Convolution of one position: a change of channels. */
export function pointConv({ parameters }: Passage, name: string, x: Tensor): Tensor {
  const weight = parameters.get(`${name}.weight`);
  const [from, to] = weight.shape.slice(-2);
  return add(matmul(x, reshape(weight, [from, to])), parameters.get(`${name}.bias`));
}

/** 3x3x3 convolution, causal in time; same size. */
export function causalConv({ parameters, caches, nextCaches }: Passage, name: string, x: Tensor): Tensor {
  const weight = parameters.get(`${name}.weight`);
  const bias = parameters.get(`${name}.bias`);
  const cache = caches?.[name];
  if (!cache) {
    // Only the last tap meets the first frame: before it there are zeros.
    nextCaches[name] = pad(x, 1, 1, 0);
    return add(conv3d(x, slice(weight, 0, 2, 1), { padding: SAME }), bias);
  }
  // The sum makes it a tensor here and now: a mere view would keep all of x alive until the program ends.
  nextCaches[name] = add(nextCache(x, cache, 3), 0);
  return add(conv3d(x, weight, { padding: SAME, cache }), bias);
}

export function residual(passage: Passage, name: string, x: Tensor): Tensor {
  let h = causalConv(passage, `${name}.residual.2`, silu(norm(passage, `${name}.residual.0`, x)));
  h = causalConv(passage, `${name}.residual.6`, silu(norm(passage, `${name}.residual.3`, h)));
  const changed = passage.parameters.has(`${name}.shortcut.weight`);
  return add(changed ? pointConv(passage, `${name}.shortcut`, x) : x, h);
}

/** One head over the pixels of each frame. */
function frameAttention(passage: Passage, name: string, x: Tensor): Tensor {
  const [batch, frames, height, width, channels] = x.shape;
  const tokens = height * width;
  const qkv = reshape(pointConv(passage, `${name}.to_qkv`, norm(passage, `${name}.norm`, x)), [
    batch * frames,
    tokens,
    3 * channels,
  ]);
  const [q, k, v] = [0, 1, 2].map((part) => slice(qkv, 2, part * channels, channels));
  // Some rows of queries at a time, so that large pictures do not need the square of their pixels.
  const rows = Math.max(1, Math.min(tokens, Math.floor(MAX_SCORES / (batch * frames * tokens))));
  const parts: Tensor[] = [];
  for (let first = 0; first < tokens; first += rows) {
    const some = slice(q, 1, first, Math.min(rows, tokens - first));
    const scores = mul(matmul(some, k, { transposeB: true }), 1 / Math.sqrt(channels));
    parts.push(matmul(softmax(scores), v));
  }
  const heard = parts.length === 1 ? parts[0] : concat(parts, 1);
  return add(x, pointConv(passage, `${name}.proj`, reshape(heard, x.shape)));
}

/** The two residual blocks with attention between them. */
export function middle(passage: Passage, name: string, x: Tensor): Tensor {
  const h = frameAttention(passage, `${name}.1`, residual(passage, `${name}.0`, x));
  return residual(passage, `${name}.2`, h);
}

/** The last two layers: norm, activation, convolution. */
export const head = (passage: Passage, name: string, x: Tensor): Tensor =>
  causalConv(passage, `${name}.2`, silu(norm(passage, `${name}.0`, x)));

/** Half the picture, a row or column of zeros added at the end, and with `inTime` half the frames. */
export function down(passage: Passage, { name, inTime }: Block, x: Tensor): Tensor {
  const { weight, bias } = frameConv(passage, `${name}.resample.1`);
  const padding = { top: 0, bottom: 1, left: 0, right: 1 };
  const smaller = add(conv3d(x, weight, { stride: 2, padding }), bias);
  return inTime ? halveFrames(passage, `${name}.time_conv`, smaller) : smaller;
}

/**
 * Three taps, two frames apart, which begin at the last frame of the stretch before. The first frame of a clip stays as
 * it is.
 */
function halveFrames({ parameters, caches, nextCaches }: Passage, name: string, x: Tensor): Tensor {
  const [batch, frames, ...rest] = x.shape;
  const cache = caches?.[name];
  nextCaches[name] = add(slice(x, 1, frames - 1, 1), 0);
  if (!cache) return x;
  const weight = parameters.get(`${name}.weight`);
  const [from, to] = weight.shape.slice(-2);
  const all = concat([cache, x], 1);
  const tap = (index: number) => {
    const shift = index === 2 ? 1 : 0;
    const pairs = reshape(slice(all, 1, shift, frames), [batch, frames / 2, 2, ...rest]);
    const frame = reshape(slice(pairs, 2, index - shift, 1), [batch, frames / 2, ...rest]);
    return matmul(frame, reshape(slice(weight, 0, index, 1), [from, to]));
  };
  return add(add(add(tap(0), tap(1)), tap(2)), parameters.get(`${name}.bias`));
}

/** Twice the picture, and with `inTime` twice the frames. */
export function up(passage: Passage, { name, inTime }: Block, x: Tensor): Tensor {
  const { weight, bias } = frameConv(passage, `${name}.resample.1`);
  const more = inTime ? doubleFrames(passage, `${name}.time_conv`, x) : x;
  return add(conv3d(more, weight, { padding: SAME, upsample: { space: 2 } }), bias);
}

/** Two frames from each; the first of a clip stays one, and the frames after it see zeros in its place. */
function doubleFrames({ parameters, caches, nextCaches }: Passage, name: string, x: Tensor): Tensor {
  const [batch, frames, height, width, channels] = x.shape;
  const cache = caches?.[name];
  if (!cache) {
    nextCaches[name] = zeros([batch, 2, height, width, channels]);
    return x;
  }
  nextCaches[name] = add(nextCache(x, cache, 3), 0);
  const both = add(conv3d(x, parameters.get(`${name}.weight`), { cache }), parameters.get(`${name}.bias`));
  const apart = reshape(both, [batch, frames, height, width, 2, channels]);
  return reshape(permute(apart, [0, 1, 4, 2, 3, 5]), [batch, 2 * frames, height, width, channels]);
}
