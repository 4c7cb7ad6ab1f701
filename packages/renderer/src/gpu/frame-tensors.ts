/**
 * Frames from textures to tensors, without a trip through the CPU: a small compute pass a frame writes into
 * [frames, height, width, channels], which the model takes from there.
 *
 * One invocation a pixel, 8x8 a workgroup. The tensor may be larger than a binding, so only the frame's part of
 * it is bound, from the last aligned offset before it.
 */
import { type Device, DeviceTensor, InvalidArgumentError } from '@dwm/core-tensor';

/** What a texel of a frame holds. */
export type FrameKind = 'color' | 'vector' | 'scalar' | 'depth' | 'index';

const WRITE_VECTOR = `let value = textureLoad(source, id.xy, 0);
    frames[at] = value.r;
    frames[at + 1] = value.g;
    frames[at + 2] = value.b;`;

const KINDS: Record<FrameKind, { texture: string; type: string; write: string; channels: number }> = {
  /** Displayed values in [0, 1]. */
  color: { texture: 'texture_2d<f32>', type: 'f32', write: WRITE_VECTOR, channels: 3 },
  vector: { texture: 'texture_2d<f32>', type: 'f32', write: WRITE_VECTOR, channels: 3 },
  scalar: {
    texture: 'texture_2d<f32>',
    type: 'f32',
    write: 'frames[at] = textureLoad(source, id.xy, 0).r;',
    channels: 1,
  },
  /** From a depth buffer: metres along the optical axis, 0 where nothing is. */
  depth: {
    texture: 'texture_depth_2d',
    type: 'f32',
    write: `let d = textureLoad(source, id.xy, 0);
    frames[at] = select(0.0, place.near / d, d > 0);`,
    channels: 1,
  },
  index: {
    texture: 'texture_2d<i32>',
    type: 'i32',
    write: 'frames[at] = textureLoad(source, id.xy, 0).r;',
    channels: 1,
  },
};

const shader = (kind: FrameKind) => /* wgsl */ `
struct Place { width: u32, height: u32, offset: u32, near: f32 }

@group(0) @binding(0) var source: ${KINDS[kind].texture};
@group(0) @binding(1) var<storage, read_write> frames: array<${KINDS[kind].type}>;
@group(0) @binding(2) var<uniform> place: Place;

@compute @workgroup_size(8, 8) fn pack(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= place.width || id.y >= place.height) { return; }
  let at = place.offset + (id.y * place.width + id.x) * ${KINDS[kind].channels};
  ${KINDS[kind].write}
}
`;

const noPipelines = () => new Map<FrameKind, GPUComputePipeline>();

/** A tensor for `frames` frames: [frames, height, width, 3], or [frames, height, width] for depth and indices. */
export function frameTensor(
  device: Device,
  kind: FrameKind,
  frames: number,
  height: number,
  width: number,
): DeviceTensor {
  const { channels, type } = KINDS[kind];
  const shape = [frames, height, width, ...(channels > 1 ? [channels] : [])];
  return new DeviceTensor(device, { shape, dtype: type as 'f32' | 'i32' }, `${kind} frames`);
}

/**
 * Submits the copy of a texture into frame `frame` of a tensor made by `frameTensor`.
 * @param texture `color` or `depth` of a `RenderTarget`, or one of its `measures` (`vector`: normal, albedo).
 * @param near of the view that drew the depth.
 */
export function packFrame(
  texture: GPUTexture,
  kind: FrameKind,
  tensor: DeviceTensor,
  frame: number,
  near = 0.01,
): void {
  const { device } = tensor;
  const { channels } = KINDS[kind];
  const [frames, height, width] = tensor.shape;
  if (texture.width !== width || texture.height !== height || !(frame >= 0 && frame < frames)) {
    throw new InvalidArgumentError(
      'frame',
      `expected a ${width}x${height} picture for one of ${frames} frames, got ${texture.width}x${texture.height} for frame ${frame}`,
    );
  }
  const { gpu } = device;
  const size = height * width * channels * 4;
  const start = frame * size;
  const aligned = start - (start % device.caps.limits.minStorageBufferOffsetAlignment);
  const place = new ArrayBuffer(16);
  new Uint32Array(place).set([width, height, (start - aligned) / 4]);
  new Float32Array(place)[3] = near;
  const uniform = device.createBuffer(16, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, 'frame place');
  gpu.queue.writeBuffer(uniform.gpu, 0, place);
  const pipeline = pipelineFor(device, kind);
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass({ label: `pack ${kind}` });
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: texture.createView() },
        {
          binding: 1,
          resource: { buffer: tensor.buffer.gpu, offset: aligned, size: start - aligned + size },
        },
        { binding: 2, resource: { buffer: uniform.gpu } },
      ],
    }),
  );
  pass.dispatchWorkgroups(Math.ceil(width / 8), Math.ceil(height / 8));
  pass.end();
  gpu.queue.submit([encoder.finish()]);
  uniform.destroy();
}

function pipelineFor(device: Device, kind: FrameKind): GPUComputePipeline {
  const pipelines = device.once(noPipelines);
  let pipeline = pipelines.get(kind);
  if (!pipeline) {
    const module = device.gpu.createShaderModule({ label: `pack ${kind}`, code: shader(kind) });
    pipeline = device.gpu.createComputePipeline({
      label: `pack ${kind}`,
      layout: 'auto',
      compute: { module },
    });
    pipelines.set(kind, pipeline);
  }
  return pipeline;
}

/** Reads a texture back as a frame of numbers: [height, width, 3], or [height, width] for depth and indices. */
export async function readFrame(
  device: Device,
  texture: GPUTexture,
  kind: FrameKind,
  near?: number,
): Promise<Float32Array | Int32Array> {
  const tensor = frameTensor(device, kind, 1, texture.height, texture.width);
  try {
    packFrame(texture, kind, tensor, 0, near);
    return (await tensor.read()) as Float32Array | Int32Array;
  } finally {
    tensor.destroy();
  }
}

/** Reads `RenderTarget.color` back: the bytes [height, width, 3]. */
export async function readColor(device: Device, texture: GPUTexture): Promise<Uint8Array> {
  const { width, height } = texture;
  const bytesPerRow = Math.ceil((width * 4) / 256) * 256;
  const staging = device.createBuffer(
    bytesPerRow * height,
    GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    'read colour',
  );
  try {
    const encoder = device.gpu.createCommandEncoder();
    encoder.copyTextureToBuffer({ texture }, { buffer: staging.gpu, bytesPerRow }, [width, height]);
    device.gpu.queue.submit([encoder.finish()]);
    await device.wait(staging.gpu.mapAsync(GPUMapMode.READ));
    const rows = new Uint8Array(staging.gpu.getMappedRange());
    const rgb = new Uint8Array(width * height * 3);
    for (let y = 0, out = 0; y < height; y++) {
      for (let x = 0, at = y * bytesPerRow; x < width; x++, at += 4) {
        rgb[out++] = rows[at];
        rgb[out++] = rows[at + 1];
        rgb[out++] = rows[at + 2];
      }
    }
    return rgb;
  } finally {
    staging.destroy();
  }
}
