/**
 * Hands as the original's videos show them: base x (0.7 + 0.6 max(0, n.l)), a point light at the camera, no
 * specular, no gamma, 8-bit values cut off rather than rounded, black behind. No scene hides a hand; only hands
 * hide each other.
 *
 * Positions are relative to the camera, so the light is at the origin. Normals are interpolated, normalised in the
 * pixel and never turned: surfaces seen from behind have n.l < 0 and show the ambient term alone. No culling.
 */
import { type Device, type DeviceBuffer, InvalidArgumentError } from '@dwm/core-tensor';
import { columnMajor } from '../camera/pose.ts';
import { readFrame } from '../gpu/frame-tensors.ts';
import { COLOR_FORMAT, DEPTH_FORMAT, type RenderTarget } from '../gpu/render-target.ts';
import { clipMatrix, positionOf, type View } from '../gpu/view.ts';
import type { HandSide } from '../mano/pose.ts';
import type { HandGeometry } from './hand-geometry.ts';

/** Displayed RGB at shade 1. */
export const HAND_COLORS: Readonly<Record<HandSide, readonly [number, number, number]>> = {
  left: [0.5, 0.8, 0.5],
  right: [0.8, 0.4, 0.4],
};

const SIDES = ['left', 'right'] as const;

const SHADER = /* wgsl */ `
struct View {
  clip: mat4x4f,
  camera: vec3f,
}

struct Hand {
  base: vec3f,
  number: f32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<uniform> hands: array<Hand, 2>;

struct Varyings {
  @builtin(position) clip: vec4f,
  @location(0) position: vec3f,
  @location(1) normal: vec3f,
  @location(2) @interpolate(flat) hand: u32,
}

@vertex fn place(
  @location(0) position: vec3f,
  @location(1) normal: vec3f,
  @builtin(instance_index) hand: u32,
) -> Varyings {
  let relative = position - view.camera;
  return Varyings(view.clip * vec4f(relative, 1), relative, normal, hand);
}

fn shade(in: Varyings) -> f32 {
  let n = in.normal * inverseSqrt(max(dot(in.normal, in.normal), 1e-38));
  return 0.7 + 0.6 * max(0.0, dot(n, -normalize(in.position)));
}

@fragment fn color(in: Varyings) -> @location(0) vec4f {
  let rgb = min(vec3f(1), hands[in.hand].base * shade(in));
  return vec4f(floor(rgb * 255) / 255, 1);
}

@fragment fn measure(in: Varyings) -> @location(0) vec4f {
  return vec4f(hands[in.hand].number, shade(in), 0, 0);
}
`;

/** The hands of a frame; null or left out where there is none. */
export type HandPair = Readonly<Partial<Record<HandSide, HandGeometry | null>>>;

/** Draws hands in the look that the model was trained on. */
export class HandRenderer {
  readonly device: Device;
  readonly #module: GPUShaderModule;
  readonly #layout: GPUBindGroupLayout;
  readonly #pipelines = new Map<string, GPURenderPipeline>();
  readonly #view: DeviceBuffer;
  readonly #hands: DeviceBuffer;
  readonly #group: GPUBindGroup;

  constructor(device: Device) {
    const { gpu } = device;
    this.device = device;
    this.#module = gpu.createShaderModule({ label: 'hands', code: SHADER });
    this.#layout = gpu.createBindGroupLayout({
      entries: [
        { binding: 0, visibility: GPUShaderStage.VERTEX, buffer: {} },
        { binding: 1, visibility: GPUShaderStage.FRAGMENT, buffer: {} },
      ],
    });
    const uniform = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#view = device.createBuffer(80, uniform, 'hand view');
    this.#hands = device.createBuffer(32, uniform, 'hand colours');
    gpu.queue.writeBuffer(
      this.#hands.gpu,
      0,
      Float32Array.of(...HAND_COLORS.left, 1, ...HAND_COLORS.right, 2),
    );
    this.#group = gpu.createBindGroup({
      layout: this.#layout,
      entries: [this.#view, this.#hands].map((buffer, binding) => ({
        binding,
        resource: { buffer: buffer.gpu },
      })),
    });
  }

  /**
   * Submits the drawing of a frame's hands into `target.color`. A hand that is missing or null is not drawn.
   * With 4 samples the edges are smooth, which the original's are not, and `target.depth` is left as it was.
   * @throws InvalidArgumentError when the view and the target differ in size.
   */
  draw(hands: HandPair, view: View, target: RenderTarget): void {
    const { multisampled } = target;
    const color = target.color.createView();
    this.#draw(hands, view, target, 'color', {
      colorAttachments: [
        multisampled
          ? {
              view: multisampled.color.createView(),
              resolveTarget: color,
              loadOp: 'clear',
              storeOp: 'discard',
            }
          : { view: color, loadOp: 'clear', storeOp: 'store' },
      ],
      depthStencilAttachment: {
        view: (multisampled?.depth ?? target.depth).createView(),
        depthClearValue: 0,
        depthLoadOp: 'clear',
        depthStoreOp: 'store',
      },
    });
  }

  /**
   * What is where, one sample a pixel: `hand` 0 none, 1 left, 2 right, and `shade` = 0.7 + 0.6 max(0, n.l), 0
   * where there is no hand; both [height, width]. Throws as `draw`.
   */
  async measure(hands: HandPair, view: View): Promise<{ hand: Float32Array; shade: Float32Array }> {
    const { width, height } = view.intrinsics;
    const create = (format: GPUTextureFormat, usage: number) =>
      this.device.gpu.createTexture({ label: 'hand measures', size: [width, height], format, usage });
    const attachment = GPUTextureUsage.RENDER_ATTACHMENT;
    const values = create('rgba32float', attachment | GPUTextureUsage.TEXTURE_BINDING);
    const depth = create(DEPTH_FORMAT, attachment);
    try {
      this.#draw(hands, view, { width, height, samples: 1 }, 'measure', {
        colorAttachments: [{ view: values.createView(), loadOp: 'clear', storeOp: 'store' }],
        depthStencilAttachment: {
          view: depth.createView(),
          depthClearValue: 0,
          depthLoadOp: 'clear',
          depthStoreOp: 'discard',
        },
      });
      const packed = await readFrame(this.device, values, 'vector');
      const channel = (c: number) =>
        Float32Array.from({ length: width * height }, (_, i) => packed[i * 3 + c]);
      return { hand: channel(0), shade: channel(1) };
    } finally {
      values.destroy();
      depth.destroy();
    }
  }

  destroy(): void {
    this.#view.destroy();
    this.#hands.destroy();
  }

  #draw(
    hands: HandPair,
    view: View,
    target: Pick<RenderTarget, 'width' | 'height' | 'samples'>,
    kind: 'color' | 'measure',
    descriptor: GPURenderPassDescriptor,
  ): void {
    const { width, height } = view.intrinsics;
    if (width !== target.width || height !== target.height) {
      throw new InvalidArgumentError(
        'view',
        `is ${width}x${height} pixels, the target ${target.width}x${target.height}; make them equal`,
      );
    }
    const { gpu } = this.device;
    const values = new Float32Array(20);
    values.set(columnMajor(clipMatrix(view)));
    values.set(positionOf(view), 16);
    gpu.queue.writeBuffer(this.#view.gpu, 0, values);
    const encoder = gpu.createCommandEncoder({ label: 'hands' });
    const pass = encoder.beginRenderPass(descriptor);
    pass.setPipeline(this.#pipeline(kind, target.samples));
    pass.setBindGroup(0, this.#group);
    SIDES.forEach((side, index) => {
      for (const { positions, normals, indices, indexCount } of hands[side]?.parts ?? []) {
        pass.setVertexBuffer(0, positions);
        pass.setVertexBuffer(1, normals);
        pass.setIndexBuffer(indices, 'uint32');
        pass.drawIndexed(indexCount, 1, 0, 0, index);
      }
    });
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  }

  #pipeline(kind: 'color' | 'measure', samples: number): GPURenderPipeline {
    const key = `${kind} ${samples}`;
    let pipeline = this.#pipelines.get(key);
    if (!pipeline) {
      const stream = (shaderLocation: number): GPUVertexBufferLayout => ({
        arrayStride: 12,
        attributes: [{ shaderLocation, offset: 0, format: 'float32x3' }],
      });
      pipeline = this.device.gpu.createRenderPipeline({
        label: `hands ${key}`,
        layout: this.device.gpu.createPipelineLayout({ bindGroupLayouts: [this.#layout] }),
        vertex: { module: this.#module, entryPoint: 'place', buffers: [stream(0), stream(1)] },
        fragment: {
          module: this.#module,
          entryPoint: kind,
          targets: [{ format: kind === 'color' ? COLOR_FORMAT : 'rgba32float' }],
        },
        primitive: { cullMode: 'none' },
        depthStencil: { format: DEPTH_FORMAT, depthWriteEnabled: true, depthCompare: 'greater' },
        multisample: { count: samples },
      });
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }
}
