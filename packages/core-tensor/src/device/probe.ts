/**
 * What this device can do at best, measured in about a second: multiply-adds a second out of registers, and
 * bytes a second through memory. A kernel's share of these two is how we know whether it is any good.
 */
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '@dwm/kernels-wgsl';
import type { Device, DeviceBuffer } from './device.ts';

/** Measured peak rates of a device. */
export interface Peaks {
  /** 10^9 floating-point operations a second in f32, a fused multiply-add counting as two. */
  readonly gflopsF32: number;
  /** The same in f16, where the device has it. */
  readonly gflopsF16?: number;
  /** 10^9 bytes a second, read and written together, copying buffers too large for its caches. */
  readonly copyGBps: number;
}

const WORKGROUP = 64;
// Independent chains hide a multiply-add's latency; more of them would spill a CPU's 16 vector registers.
const CHAINS = 4;
const UNROLL = 16;
const FMAS_PER_STEP = UNROLL * CHAINS * 4;
/** Long enough that the launch does not count; the best of several short ones dodges other work on a CPU. */
const SLICE_SECONDS = 0.02;
const REPEATS = 4;

/** Throws as `Device.wait`. */
export async function measurePeaks(device: Device): Promise<Peaks> {
  const gflopsF32 = await measureFlops(device, 'f32');
  const gflopsF16 = device.caps.features.f16 ? await measureFlops(device, 'f16') : undefined;
  return { gflopsF32, gflopsF16, copyGBps: await measureCopy(device) };
}

/** Independent chains x = x * a + b, whose factors come from a buffer so that no compiler can fold them. */
function fmaShader(type: 'f32' | 'f16'): string {
  const chains = Array.from({ length: CHAINS }, (_, i) => i);
  const step = chains.map((i) => `x${i} = fma(x${i}, a, b);`).join(' ');
  return /* wgsl */ `
${type === 'f16' ? 'enable f16;' : ''}
struct Params { steps: f32, a: f32, b: f32 }
@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let a = vec4<${type}>(${type}(params.a));
  let b = vec4<${type}>(${type}(params.b));
  ${chains.map((i) => `var x${i} = vec4<${type}>(${type}(id.x % 7u + ${i}u));`).join('\n  ')}
  for (var s = 0u; s < u32(params.steps); s++) {
    ${Array(UNROLL).fill(step).join('\n    ')}
  }
  result[id.x] = f32(dot(${chains.map((i) => `x${i}`).join(' + ')}, vec4<${type}>(1)));
}`;
}

/** 10^9 floating-point operations a second in f32 or f16. Throws as `Device.wait`. */
export async function measureFlops(device: Device, type: 'f32' | 'f16'): Promise<number> {
  const threads = device.caps.adapter.kind === 'software' ? 4096 : 1 << 20;
  const params = device.createBuffer(12, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, 'probe params');
  const result = device.createBuffer(4 * threads, GPUBufferUsage.STORAGE, 'probe result');
  try {
    const run = await prepare(device, fmaShader(type), [params, result], threads / WORKGROUP);
    const timed = async (steps: number) => {
      device.gpu.queue.writeBuffer(params.gpu, 0, new Float32Array([steps, 0.5, 1]));
      return run();
    };
    let steps = 64;
    let seconds = await timed(steps);
    while (seconds < SLICE_SECONDS) {
      steps *= 2;
      seconds = await timed(steps);
    }
    for (let i = 0; i < REPEATS; i++) seconds = Math.min(seconds, await timed(steps));
    return (2 * FMAS_PER_STEP * steps * threads) / seconds / 1e9;
  } finally {
    params.destroy();
    result.destroy();
  }
}

/** Many short invocations side by side suit a GPU and SwiftShader, a vector that walks on suits lavapipe. */
const COPY_FORMS = [
  { workgroup: 256, turns: 1, copies: 4 },
  { workgroup: 8, turns: 512, copies: 1 },
];
/** Every form copies a multiple of it. */
const COPY_UNIT = 64 << 10;

type CopyForm = (typeof COPY_FORMS)[number];

const formBytes = ({ workgroup, turns, copies }: CopyForm) => 16 * workgroup * turns * copies;

const copyShader = ({ workgroup, turns, copies }: CopyForm) => /* wgsl */ `
@group(0) @binding(0) var<storage, read> source: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4u>;
@compute @workgroup_size(${workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let group = ${WORKGROUP_INDEX};
  // A surplus workgroup of a folded grid copies nothing.
  if (group >= arrayLength(&destination) / ${turns * workgroup * copies}u) { return; }
  for (var turn = 0u; turn < ${turns}u; turn++) {
    let i = (group * ${turns}u + turn) * ${workgroup * copies}u + lane;
    ${Array.from({ length: copies }, (_, k) => `destination[i + ${k * workgroup}u] = source[i + ${k * workgroup}u];`).join('\n    ')}
  }
}`;

/** A copy between two buffers of the device, to measure its memory by. */
export interface CopyProbe {
  readonly source: DeviceBuffer;
  readonly destination: DeviceBuffer;
  /** Copies all of one to the other; the seconds that took. */
  run(): Promise<number>;
  destroy(): void;
}

/** Bytes that a probe asked to copy `bytes` does copy: about as many, fewer where the device binds no more. */
export function probedBytes({ caps: { limits } }: Device, bytes: number): number {
  const most = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  return COPY_UNIT * Math.min(Math.ceil(bytes / COPY_UNIT), Math.floor(most / COPY_UNIT));
}

/** A copy of `probedBytes(device, bytes)` in the form that is the fastest here. */
export async function openCopyProbe(device: Device, bytes: number): Promise<CopyProbe> {
  const size = probedBytes(device, bytes);
  const source = device.createBuffer(size, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, 'probe source');
  const destination = device.createBuffer(
    size,
    GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    'probe destination',
  );
  const destroy = () => {
    source.destroy();
    destination.destroy();
  };
  try {
    let best = { seconds: Number.POSITIVE_INFINITY, run: async () => 0 };
    for (const form of COPY_FORMS) {
      const run = await prepare(device, copyShader(form), [source, destination], size / formBytes(form));
      await run(); // first touch: the pages do not exist yet
      const seconds = Math.min(await run(), await run());
      if (seconds < best.seconds) best = { seconds, run };
    }
    return { source, destination, run: best.run, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

async function measureCopy(device: Device): Promise<number> {
  const bytes = device.caps.adapter.kind === 'software' ? 64 << 20 : 512 << 20;
  const probe = await openCopyProbe(device, bytes);
  try {
    let seconds = Number.POSITIVE_INFINITY;
    for (let i = 0; i < REPEATS; i++) seconds = Math.min(seconds, await probe.run());
    return (2 * probe.source.bytes) / seconds / 1e9;
  } finally {
    probe.destroy();
  }
}

/** A function that dispatches `wgsl` over `buffers` once, and resolves to the seconds that took. */
async function prepare(
  device: Device,
  wgsl: string,
  buffers: DeviceBuffer[],
  groups: number,
): Promise<() => Promise<number>> {
  const { gpu } = device;
  const { pipeline, bindGroup } = await device.scoped('peak probe', () => {
    const module = gpu.createShaderModule({ code: wgsl });
    const pipeline = gpu.createComputePipeline({ layout: 'auto', compute: { module } });
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer: buffer.gpu } }));
    return { pipeline, bindGroup: gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) };
  });
  return async () => {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...lineGrid(groups, device.caps));
    pass.end();
    const start = performance.now();
    gpu.queue.submit([encoder.finish()]);
    await device.done();
    return (performance.now() - start) / 1000;
  };
}
