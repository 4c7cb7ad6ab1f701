/**
 * A scene's pictures on the device, with mip levels. Decoding is the host's business: `createImageBitmap` in a
 * browser, a decoder function elsewhere. Pictures are decoded one at a time, when a material first needs them.
 */
import { type Device, InvalidFileError } from '@dwm/core-tensor';
import type { EncodedImage, Pixels, TextureUse } from '../scene/scene.ts';

/** Decodes the encoded picture of a scene. */
export type DecodeImage = (image: EncodedImage) => Promise<Pixels | ImageBitmap>;

/** The browser's decoder; colours as they are in the file. */
export const decodeWithBrowser: DecodeImage = (image) =>
  createImageBitmap(new Blob([image.bytes as Uint8Array<ArrayBuffer>], { type: image.mimeType }), {
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  });

const HALVE = /* wgsl */ `
@group(0) @binding(0) var source: texture_2d<f32>;
@group(0) @binding(1) var linear: sampler;

struct Corner {
  @builtin(position) clip: vec4f,
  @location(0) uv: vec2f,
}

@vertex fn corner(@builtin(vertex_index) i: u32) -> Corner {
  let uv = vec2f(f32(i & 1) * 2, f32(i >> 1) * 2);
  return Corner(vec4f(uv * vec2f(2, -2) + vec2f(-1, 1), 0, 1), uv);
}

@fragment fn halve(in: Corner) -> @location(0) vec4f {
  return textureSampleLevel(source, linear, in.uv, 0);
}
`;

export class TextureCache {
  readonly #device: Device;
  readonly #decode: DecodeImage;
  readonly #textures = {
    color: new Map<EncodedImage, Promise<GPUTexture>>(),
    data: new Map<EncodedImage, Promise<GPUTexture>>(),
  };
  readonly #samplers = new Map<string, GPUSampler>();
  readonly #halvers = new Map<GPUTextureFormat, GPURenderPipeline>();
  #white: GPUTexture | undefined;

  constructor(device: Device, decode: DecodeImage) {
    this.#device = device;
    this.#decode = decode;
  }

  /** @param color colours (sRGB) rather than data such as normals. Throws InvalidFileError for a damaged picture. */
  texture(image: EncodedImage, color: boolean): Promise<GPUTexture> {
    const known = color ? this.#textures.color : this.#textures.data;
    let texture = known.get(image);
    if (!texture) {
      texture = this.#upload(image, color ? 'rgba8unorm-srgb' : 'rgba8unorm');
      known.set(image, texture);
    }
    return texture;
  }

  /** Stands in for a texture that a material lacks. */
  get white(): GPUTexture {
    if (!this.#white) {
      this.#white = this.#create('white', 'rgba8unorm', 1, 1, 1);
      this.#device.gpu.queue.writeTexture({ texture: this.#white }, new Uint8Array(4).fill(255), {}, [1, 1]);
    }
    return this.#white;
  }

  sampler(use?: TextureUse, nearest = false): GPUSampler {
    const filter = nearest ? 'nearest' : undefined;
    const descriptor: GPUSamplerDescriptor = {
      addressModeU: use?.wrapU ?? 'repeat',
      addressModeV: use?.wrapV ?? 'repeat',
      magFilter: filter ?? use?.magFilter ?? 'linear',
      minFilter: filter ?? use?.minFilter ?? 'linear',
      mipmapFilter: use?.mipFilter ?? 'nearest',
      lodMaxClamp: use?.mipFilter && !nearest ? 32 : 0,
    };
    const key = JSON.stringify(descriptor);
    let sampler = this.#samplers.get(key);
    if (!sampler) {
      sampler = this.#device.gpu.createSampler(descriptor);
      this.#samplers.set(key, sampler);
    }
    return sampler;
  }

  destroy(): void {
    this.#white?.destroy();
    for (const texture of [...this.#textures.color.values(), ...this.#textures.data.values()]) {
      texture.then(
        (t) => t.destroy(),
        () => {},
      );
    }
  }

  #create(label: string, format: GPUTextureFormat, width: number, height: number, mipLevelCount: number) {
    return this.#device.gpu.createTexture({
      label,
      size: [width, height],
      format,
      mipLevelCount,
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT,
    });
  }

  async #upload(image: EncodedImage, format: GPUTextureFormat): Promise<GPUTexture> {
    const pixels = await this.#decode(image).catch((error: unknown) => {
      if (error instanceof InvalidFileError) throw error;
      const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
      throw new InvalidFileError(image.name, `cannot be decoded as ${image.mimeType} (${reason})`);
    });
    const { width, height } = pixels;
    if (width !== image.width || height !== image.height) {
      throw new InvalidFileError(
        image.name,
        `decodes to ${width}x${height}, its header says ${image.width}x${image.height}`,
      );
    }
    const levels = 1 + Math.floor(Math.log2(Math.max(width, height)));
    const { gpu } = this.#device;
    const texture = this.#create(image.name, format, width, height, levels);
    if ('data' in pixels) {
      gpu.queue.writeTexture(
        { texture },
        pixels.data as Uint8Array<ArrayBuffer>,
        { bytesPerRow: width * 4 },
        [width, height],
      );
    } else {
      gpu.queue.copyExternalImageToTexture({ source: pixels }, { texture }, [width, height]);
      pixels.close();
    }
    this.#fillMipLevels(texture);
    return texture;
  }

  #fillMipLevels(texture: GPUTexture): void {
    const { gpu } = this.#device;
    let pipeline = this.#halvers.get(texture.format);
    if (!pipeline) {
      const module = gpu.createShaderModule({ label: 'mip levels', code: HALVE });
      pipeline = gpu.createRenderPipeline({
        label: 'mip levels',
        layout: 'auto',
        vertex: { module },
        fragment: { module, targets: [{ format: texture.format }] },
      });
      this.#halvers.set(texture.format, pipeline);
    }
    const encoder = gpu.createCommandEncoder();
    for (let level = 1; level < texture.mipLevelCount; level++) {
      const view = (baseMipLevel: number) => texture.createView({ baseMipLevel, mipLevelCount: 1 });
      const pass = encoder.beginRenderPass({
        colorAttachments: [{ view: view(level), loadOp: 'clear', storeOp: 'store' }],
      });
      pass.setPipeline(pipeline);
      pass.setBindGroup(
        0,
        gpu.createBindGroup({
          layout: pipeline.getBindGroupLayout(0),
          entries: [
            { binding: 0, resource: view(level - 1) },
            { binding: 1, resource: gpu.createSampler({ magFilter: 'linear', minFilter: 'linear' }) },
          ],
        }),
      );
      pass.draw(3);
      pass.end();
    }
    gpu.queue.submit([encoder.finish()]);
  }
}
