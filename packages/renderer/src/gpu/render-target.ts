/**
 * The textures that a frame is drawn into. `colour` and `depth` have one sample a pixel whatever the
 * anti-aliasing, so that splats can be composited behind and before meshes.
 */
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';

/** Format of drawn pictures. */
export const COLOR_FORMAT = 'rgba8unorm';
/** How shaders write `colour`: linear values, encoded and blended by the hardware. */
export const COLOR_VIEW_FORMAT = 'rgba8unorm-srgb';
/** Format of depth buffers. */
export const DEPTH_FORMAT = 'depth32float';

/** How a render target is made. */
export interface RenderTargetOptions {
  /** Samples a pixel: 1, or 4 for smooth edges. */
  readonly samples?: 1 | 4;
}

/** Textures that are drawn to: colour, depth, measures. */
export class RenderTarget {
  readonly device: Device;
  readonly width: number;
  readonly height: number;
  readonly samples: 1 | 4;
  /** [height, width] rgba8unorm, sRGB-encoded bytes; also viewable as rgba8unorm-srgb. */
  readonly color: GPUTexture;
  /** [height, width] depth32float: near / z along the optical axis, 0 where nothing is. */
  readonly depth: GPUTexture;
  /** With 4 samples only; resolved into `color`. */
  readonly multisampled?: { readonly color: GPUTexture; readonly depth: GPUTexture };
  #measures: Measures | undefined;

  /** @throws InvalidArgumentError for a size that the device cannot draw. */
  constructor(device: Device, width: number, height: number, { samples = 1 }: RenderTargetOptions = {}) {
    const limit = device.gpu.limits.maxTextureDimension2D;
    for (const [field, size] of [
      ['width', width],
      ['height', height],
    ] as const) {
      if (!Number.isInteger(size) || size < 1 || size > limit) {
        throw new InvalidArgumentError(
          field,
          `expected a whole number of pixels from 1 to ${limit}, got ${size}`,
        );
      }
    }
    this.device = device;
    this.width = width;
    this.height = height;
    this.samples = samples;
    const usage =
      GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_SRC;
    this.color = this.#texture('colour', COLOR_FORMAT, usage | GPUTextureUsage.COPY_DST);
    this.depth = this.#texture('depth', DEPTH_FORMAT, usage);
    if (samples === 4) {
      const only = GPUTextureUsage.RENDER_ATTACHMENT;
      this.multisampled = {
        color: this.#texture('colour, 4 samples', COLOR_FORMAT, only, 4),
        depth: this.#texture('depth, 4 samples', DEPTH_FORMAT, only, 4),
      };
    }
  }

  /** Made when they are first asked for. */
  get measures(): Measures {
    const usage = GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.TEXTURE_BINDING;
    this.#measures ??= {
      node: this.#texture('node', 'r32sint', usage),
      normal: this.#texture('normal', 'rgba16float', usage),
      albedo: this.#texture('albedo', 'rgba16float', usage),
      depth: this.#texture('depth in metres', 'r32float', usage),
      test: this.#texture('depth test', DEPTH_FORMAT, GPUTextureUsage.RENDER_ATTACHMENT),
    };
    return this.#measures;
  }

  destroy(): void {
    const { color, depth, multisampled } = this;
    for (const texture of [color, depth, multisampled?.color, multisampled?.depth]) texture?.destroy();
    for (const texture of Object.values(this.#measures ?? {})) (texture as GPUTexture).destroy();
  }

  #texture(label: string, format: GPUTextureFormat, usage: number, sampleCount = 1): GPUTexture {
    return this.device.gpu.createTexture({
      label,
      size: [this.width, this.height],
      format,
      viewFormats: format === COLOR_FORMAT ? [COLOR_VIEW_FORMAT] : [],
      usage,
      sampleCount,
    });
  }
}

/** What is seen rather than how it looks; one sample a pixel, blended surfaces as if they were solid. */
export interface Measures {
  /** r32sint: index of the node that holds the mesh, -1 where nothing is. */
  readonly node: GPUTexture;
  /** rgba16float: the triangle's normal in world axes, towards the camera; 0 where nothing is. */
  readonly normal: GPUTexture;
  /** rgba16float: base colour, linear; a is 1 where something is. */
  readonly albedo: GPUTexture;
  /** r32float: metres along the optical axis, 0 where nothing is. */
  readonly depth: GPUTexture;
  /** The depth buffer that the others are drawn with. */
  readonly test: GPUTexture;
}
