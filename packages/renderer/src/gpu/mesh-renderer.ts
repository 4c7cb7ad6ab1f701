/**
 * Draws a `SceneModel`: a shadow map when the pose has changed, then opaque surfaces front to back, the
 * background, and blended surfaces back to front. `measure` draws the same surfaces as data.
 */
import { type Device, type DeviceBuffer, InvalidArgumentError } from '@dwm/core-tensor';
import { columnMajor } from '../camera/pose.ts';
import type { LightRig } from '../scene/lights.ts';
import type { Bounds } from '../scene/pose.ts';
import { MESH_SHADER } from './mesh-shader.ts';
import { COLOR_VIEW_FORMAT, DEPTH_FORMAT, type RenderTarget } from './render-target.ts';
import {
  ATTRIBUTE_WIDTHS,
  type DrawItem,
  materialLayout,
  type SceneModel,
  textureSlots,
} from './scene-model.ts';
import type { ShadowMap } from './shadow-map.ts';
import { clipMatrix, positionOf, rayMatrix, type View } from './view.ts';

/** Options of `MeshRenderer.draw`. */
export interface DrawOptions {
  /** `unlit` shows base colours as they are. */
  readonly shading?: 'lit' | 'unlit';
  /** glTF's rule: back faces of single-sided materials are not drawn. Otherwise, the default, every face is. */
  readonly backFaceCulling?: boolean;
  /** The model's own rig by default. */
  readonly lights?: LightRig;
  /** Linear RGB behind everything; the rig's sky by default. */
  readonly background?: readonly [number, number, number];
  /**
   * What the shadow map covers; the whole scene by default. Where things move, a fixed box keeps the shadows of what
   * stands still the same to the texel.
   */
  readonly shadowBounds?: Bounds;
  /** With 4 samples: whether `target.depth` is drawn too, as it is by default. */
  readonly depth?: boolean;
  /**
   * Depth before colour, the default, so that costly shading runs for what is seen only. In thumbnails the vertices
   * cost more than the pixels, and once is enough.
   */
  readonly prepass?: boolean;
}

type Pass = 'color' | 'measure' | 'depth' | 'prepass' | 'shadow';

const FRAME_BYTES = 240;
const LIGHT_BYTES = 64;
const KINDS = { directional: 0, point: 1, spot: 2 };

/** Draws scenes of meshes. */
export class MeshRenderer {
  readonly device: Device;
  readonly #module: GPUShaderModule;
  readonly #frameLayout: GPUBindGroupLayout;
  readonly #layout: GPUPipelineLayout;
  readonly #pipelines = new Map<string, GPURenderPipeline>();
  readonly #comparison: GPUSampler;
  readonly #noShadow: GPUTexture;
  /** Zeros at 0 and ones at 16: what a vertex without an attribute reads. */
  readonly #filler: DeviceBuffer;
  readonly #frame: DeviceBuffer;
  readonly #shadowFrame: DeviceBuffer;
  #draws: DeviceBuffer;
  #lights: DeviceBuffer;

  constructor(device: Device) {
    const { gpu } = device;
    this.device = device;
    this.#module = gpu.createShaderModule({ label: 'mesh', code: MESH_SHADER });
    const both = GPUShaderStage.VERTEX | GPUShaderStage.FRAGMENT;
    this.#frameLayout = gpu.createBindGroupLayout({
      label: 'frame',
      entries: [
        { binding: 0, visibility: both, buffer: {} },
        { binding: 1, visibility: GPUShaderStage.VERTEX, buffer: { type: 'read-only-storage' } },
        { binding: 2, visibility: GPUShaderStage.FRAGMENT, buffer: { type: 'read-only-storage' } },
        { binding: 3, visibility: GPUShaderStage.FRAGMENT, texture: { sampleType: 'depth' } },
        { binding: 4, visibility: GPUShaderStage.FRAGMENT, sampler: { type: 'comparison' } },
      ],
    });
    this.#layout = gpu.createPipelineLayout({
      bindGroupLayouts: [this.#frameLayout, materialLayout(device)],
    });
    this.#comparison = gpu.createSampler({
      compare: 'greater-equal',
      magFilter: 'linear',
      minFilter: 'linear',
    });
    this.#noShadow = gpu.createTexture({
      label: 'no shadow',
      size: [1, 1],
      format: DEPTH_FORMAT,
      usage: GPUTextureUsage.TEXTURE_BINDING,
    });
    this.#filler = device.createBuffer(
      32,
      GPUBufferUsage.VERTEX | GPUBufferUsage.COPY_DST,
      'missing attributes',
    );
    gpu.queue.writeBuffer(this.#filler.gpu, 0, Float32Array.of(0, 0, 0, 0, 1, 1, 1, 1));
    const uniform = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#frame = device.createBuffer(FRAME_BYTES, uniform, 'frame');
    this.#shadowFrame = device.createBuffer(FRAME_BYTES, uniform, 'shadow frame');
    this.#draws = this.#storage(1024, 'draws');
    this.#lights = this.#storage(1024, 'lights');
  }

  /**
   * Submits the drawing of colour and depth. Frames of one device come out in the order they were submitted.
   * @throws InvalidArgumentError when the view and the target differ in size.
   */
  draw(model: SceneModel, view: View, target: RenderTarget, options: DrawOptions = {}): void {
    checkSize(view, target);
    const rig = options.lights ?? model.rig;
    const lit = options.shading !== 'unlit';
    const shadow = lit ? this.#shadow(model, rig, options.shadowBounds ?? model.bounds) : undefined;
    const encoder = this.device.gpu.createCommandEncoder({ label: 'meshes' });
    const origin = positionOf(view);
    this.#writeFrame(model, view, rig, shadow, options);
    const group = this.#frameGroup(shadow?.texture ?? this.#noShadow, this.#frame);

    const { multisampled } = target;
    const colorView = target.color.createView({ format: COLOR_VIEW_FORMAT });
    const pass = encoder.beginRenderPass({
      label: 'colour',
      colorAttachments: [
        multisampled
          ? {
              view: multisampled.color.createView({ format: COLOR_VIEW_FORMAT }),
              resolveTarget: colorView,
              loadOp: 'clear',
              storeOp: 'discard',
            }
          : { view: colorView, loadOp: 'clear', storeOp: 'store' },
      ],
      depthStencilAttachment: {
        view: (multisampled?.depth ?? target.depth).createView(),
        depthClearValue: 0,
        depthLoadOp: 'clear',
        depthStoreOp: multisampled ? 'discard' : 'store',
      },
    });
    pass.setBindGroup(0, group);
    const { solid, blended } = sorted(model, origin);
    const setup = {
      lit,
      culling: options.backFaceCulling ?? false,
      samples: target.samples,
      hasShadow: !!shadow,
      prepassed: lit && options.prepass !== false,
    };
    if (setup.prepassed) for (const index of solid) this.#drawItem(pass, model, index, 'prepass', setup);
    for (const index of solid) this.#drawItem(pass, model, index, 'color', setup);
    pass.setPipeline(this.#backgroundPipeline(target.samples));
    pass.draw(3);
    for (const index of blended) this.#drawItem(pass, model, index, 'color', setup);
    pass.end();

    if (multisampled && options.depth !== false) {
      const depth = encoder.beginRenderPass({
        label: 'depth',
        colorAttachments: [],
        depthStencilAttachment: {
          view: target.depth.createView(),
          depthClearValue: 0,
          depthLoadOp: 'clear',
          depthStoreOp: 'store',
        },
      });
      depth.setBindGroup(0, group);
      for (const index of solid) this.#drawItem(depth, model, index, 'depth', { ...setup, samples: 1 });
      depth.end();
    }
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  /** Submits the drawing of `target.measures`. Throws as `draw`. */
  measure(
    model: SceneModel,
    view: View,
    target: RenderTarget,
    { backFaceCulling = false }: Pick<DrawOptions, 'backFaceCulling'> = {},
  ): void {
    checkSize(view, target);
    this.#writeFrame(model, view, model.rig, undefined, {});
    const { node, normal, albedo, depth, test } = target.measures;
    const attachment = (texture: GPUTexture, clear: number): GPURenderPassColorAttachment => ({
      view: texture.createView(),
      clearValue: [clear, 0, 0, 0],
      loadOp: 'clear',
      storeOp: 'store',
    });
    const encoder = this.device.gpu.createCommandEncoder({ label: 'measures' });
    const pass = encoder.beginRenderPass({
      label: 'measures',
      colorAttachments: [
        attachment(node, -1),
        attachment(normal, 0),
        attachment(albedo, 0),
        attachment(depth, 0),
      ],
      depthStencilAttachment: {
        view: test.createView(),
        depthClearValue: 0,
        depthLoadOp: 'clear',
        depthStoreOp: 'discard',
      },
    });
    pass.setBindGroup(0, this.#frameGroup(this.#noShadow, this.#frame));
    const { solid, blended } = sorted(model, positionOf(view));
    const setup = {
      lit: false,
      culling: backFaceCulling,
      samples: 1 as const,
      hasShadow: false,
      prepassed: false,
    };
    for (const index of [...solid, ...blended.reverse()])
      this.#drawItem(pass, model, index, 'measure', setup);
    pass.end();
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  destroy(): void {
    for (const buffer of [this.#filler, this.#frame, this.#shadowFrame, this.#draws, this.#lights])
      buffer.destroy();
    this.#noShadow.destroy();
  }

  #storage(bytes: number, label: string): DeviceBuffer {
    return this.device.createBuffer(bytes, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, label);
  }

  #writeFrame(
    model: SceneModel,
    view: View,
    rig: LightRig,
    shadow: ShadowMap | undefined,
    { background }: DrawOptions,
  ): void {
    const { queue } = this.device.gpu;
    const origin = positionOf(view);
    const records = model.drawRecords(origin);
    if (records.byteLength > this.#draws.bytes) {
      this.#draws.destroy();
      this.#draws = this.#storage(records.byteLength, 'draws');
    }
    queue.writeBuffer(this.#draws.gpu, 0, records);

    const frame = new ArrayBuffer(FRAME_BYTES);
    const floats = new Float32Array(frame);
    floats.set(columnMajor(clipMatrix(view)));
    if (shadow) floats.set(columnMajor(shadow.lookup(origin)), 16);
    floats.set(rayMatrix(view), 32);
    floats.set(rig.sky, 44);
    floats.set(rig.ground, 48);
    floats.set(background ? [...background, 1] : [0, 0, 0, 0], 52);
    floats[56] = rig.exposure;
    new Uint32Array(frame)[57] = rig.lights.length;
    floats[58] = shadow ? 1 / shadow.size : 0;
    floats[59] = shadow?.texelMetres ?? 0;
    queue.writeBuffer(this.#frame.gpu, 0, frame);

    const lights = new ArrayBuffer(Math.max(1, rig.lights.length) * LIGHT_BYTES);
    rig.lights.forEach((light, i) => {
      const values = new Float32Array(lights, i * LIGHT_BYTES, LIGHT_BYTES / 4);
      const integers = new Uint32Array(lights, i * LIGHT_BYTES, LIGHT_BYTES / 4);
      values.set(light.position.map((value, axis) => value - origin[axis]));
      values[3] = Number.isFinite(light.range) ? light.range : 1e18;
      values.set(light.direction, 4);
      integers[7] = KINDS[light.type];
      values.set(
        light.color.map((value) => value * light.intensity),
        8,
      );
      values[11] = Math.cos(light.outerCone);
      values[12] = Math.cos(light.innerCone);
      integers[13] = light.castsShadow && light.type === 'directional' ? 1 : 0;
    });
    if (lights.byteLength > this.#lights.bytes) {
      this.#lights.destroy();
      this.#lights = this.#storage(lights.byteLength, 'lights');
    }
    queue.writeBuffer(this.#lights.gpu, 0, lights);
  }

  #frameGroup(shadow: GPUTexture, frame: DeviceBuffer): GPUBindGroup {
    return this.device.gpu.createBindGroup({
      layout: this.#frameLayout,
      entries: [
        { binding: 0, resource: { buffer: frame.gpu } },
        { binding: 1, resource: { buffer: this.#draws.gpu } },
        { binding: 2, resource: { buffer: this.#lights.gpu } },
        { binding: 3, resource: shadow.createView() },
        { binding: 4, resource: this.#comparison },
      ],
    });
  }

  /** The rig's shadow map for the model's present pose, drawn now if it is stale. */
  #shadow(model: SceneModel, rig: LightRig, bounds: Bounds | undefined): ShadowMap | undefined {
    const light = rig.lights.find(({ castsShadow, type }) => castsShadow && type === 'directional');
    if (!light || !bounds) return undefined;
    const shadow = model.shadowMap;
    if (!shadow.update(bounds, light.direction, model.version)) return shadow;

    // Relative to the map's own middle, in a submission of its own: the records are about to be overwritten.
    const { gpu } = this.device;
    const records = model.drawRecords(shadow.center);
    if (records.byteLength > this.#draws.bytes) {
      this.#draws.destroy();
      this.#draws = this.#storage(records.byteLength, 'draws');
    }
    gpu.queue.writeBuffer(this.#draws.gpu, 0, records);
    gpu.queue.writeBuffer(this.#shadowFrame.gpu, 0, columnMajor(shadow.clip));
    const encoder = gpu.createCommandEncoder({ label: 'shadow map' });
    const pass = encoder.beginRenderPass({
      label: 'shadow map',
      colorAttachments: [],
      depthStencilAttachment: {
        view: shadow.texture.createView(),
        depthClearValue: 0,
        depthLoadOp: 'clear',
        depthStoreOp: 'store',
      },
    });
    pass.setBindGroup(0, this.#frameGroup(this.#noShadow, this.#shadowFrame));
    const { solid } = sorted(model, shadow.center);
    // A single-sided wall seen from behind is not there, so a room whose walls face inwards gets light.
    const setup = { lit: false, culling: true, samples: 1 as const, hasShadow: false, prepassed: false };
    for (const index of solid) this.#drawItem(pass, model, index, 'shadow', setup);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    return shadow;
  }

  #drawItem(pass: GPURenderPassEncoder, model: SceneModel, index: number, kind: Pass, setup: Setup): void {
    const item = model.items[index];
    pass.setPipeline(this.#pipeline(item, kind, setup, model.isMirrored(item)));
    pass.setBindGroup(1, item.materialGroup);
    const locations = needsSurface(item, kind) ? ATTRIBUTE_WIDTHS.length : 1;
    for (let location = 0; location < locations; location++) {
      const buffer = item.attributes[location];
      if (buffer) pass.setVertexBuffer(location, buffer);
      // A vertex without a colour is white.
      else pass.setVertexBuffer(location, this.#filler.gpu, location === 4 ? 16 : 0, 16);
    }
    pass.setIndexBuffer(item.primitive.indices.gpu, 'uint32');
    pass.drawIndexed(item.primitive.indexCount, item.nodes.length, 0, 0, item.firstRecord);
  }

  #pipeline(item: DrawItem, kind: Pass, setup: Setup, mirrored: boolean): GPURenderPipeline {
    const { material } = item;
    const culled = setup.culling && !material.doubleSided;
    const surface = needsSurface(item, kind);
    const present = item.attributes.map((buffer) => !!buffer);
    const constants: Record<string, number> = surface
      ? {
          hasBaseTexture: +!!material.baseColorTexture,
          alphaMode: { opaque: 0, mask: 1, blend: 2 }[material.alphaMode],
        }
      : {};
    if (kind === 'color') {
      const lit = setup.lit && !material.unlit;
      const [, shine, normal, occlusion, emissive, specular, specularColor] = textureSlots(material).map(
        (use) => +(lit && !!use),
      );
      Object.assign(constants, {
        hasNormals: +present[1],
        hasTangents: +present[2],
        hasNormalTexture: normal,
        hasShineTexture: shine,
        hasOcclusionTexture: occlusion,
        hasEmissiveTexture: emissive,
        hasSpecularTexture: specular,
        hasSpecularColorTexture: specularColor,
        specularGlossiness: +(lit && !!material.specularGlossiness),
        hasShadow: +(lit && setup.hasShadow),
        unlit: +!lit,
      });
    }
    const prepassed = kind === 'color' && setup.prepassed;
    const key = JSON.stringify([
      kind,
      present,
      constants,
      culled,
      mirrored,
      setup.samples,
      surface,
      prepassed,
    ]);
    let pipeline = this.#pipelines.get(key);
    if (!pipeline) {
      pipeline = this.#createPipeline(kind, {
        surface,
        present,
        constants,
        culled,
        mirrored,
        prepassed,
        samples: setup.samples,
      });
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  #createPipeline(kind: Pass, variant: Variant): GPURenderPipeline {
    const { surface, present, constants, culled, mirrored, prepassed, samples } = variant;
    const blend: GPUBlendState = {
      color: { srcFactor: 'src-alpha', dstFactor: 'one-minus-src-alpha' },
      alpha: { srcFactor: 'one', dstFactor: 'one-minus-src-alpha' },
    };
    const blended = kind === 'color' && constants.alphaMode === 2;
    const targets: Record<Pass, GPUColorTargetState[]> = {
      color: [{ format: COLOR_VIEW_FORMAT, blend: blended ? blend : undefined }],
      measure: [
        { format: 'r32sint' },
        { format: 'rgba16float' },
        { format: 'rgba16float' },
        { format: 'r32float' },
      ],
      depth: [],
      prepass: [{ format: COLOR_VIEW_FORMAT, writeMask: 0 }],
      shadow: [],
    };
    const entryPoint = !surface ? 'nothing' : kind === 'color' || kind === 'measure' ? kind : 'cutout';
    const widths = surface ? ATTRIBUTE_WIDTHS : ATTRIBUTE_WIDTHS.slice(0, 1);
    return this.device.gpu.createRenderPipeline({
      label: `mesh ${kind}`,
      layout: this.#layout,
      vertex: {
        module: this.#module,
        entryPoint: surface ? 'place' : 'placeOnly',
        buffers: widths.map((width, shaderLocation) => ({
          arrayStride: present[shaderLocation] ? width * 4 : 0,
          attributes: [{ shaderLocation, offset: 0, format: width === 3 ? 'float32x3' : 'float32x4' }],
        })),
      },
      fragment:
        surface || kind === 'prepass'
          ? { module: this.#module, entryPoint, constants, targets: targets[kind] }
          : undefined,
      primitive: { cullMode: culled ? 'back' : 'none', frontFace: mirrored ? 'cw' : 'ccw' },
      depthStencil: {
        format: DEPTH_FORMAT,
        depthWriteEnabled: !blended && !prepassed,
        depthCompare: prepassed && !blended ? 'equal' : 'greater',
        // Reversed depth: away from the light is down.
        depthBias: kind === 'shadow' ? -2 : 0,
        depthBiasSlopeScale: kind === 'shadow' ? -1.5 : 0,
      },
      multisample: { count: samples },
    });
  }

  #backgroundPipeline(samples: number): GPURenderPipeline {
    const key = `background ${samples}`;
    let pipeline = this.#pipelines.get(key);
    if (!pipeline) {
      pipeline = this.device.gpu.createRenderPipeline({
        label: key,
        layout: this.device.gpu.createPipelineLayout({ bindGroupLayouts: [this.#frameLayout] }),
        vertex: { module: this.#module, entryPoint: 'everywhere' },
        fragment: {
          module: this.#module,
          entryPoint: 'background',
          targets: [{ format: COLOR_VIEW_FORMAT }],
        },
        depthStencil: { format: DEPTH_FORMAT, depthWriteEnabled: false, depthCompare: 'equal' },
        multisample: { count: samples },
      });
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }
}

interface Variant {
  /** Whether the fragment shader reads the material. */
  readonly surface: boolean;
  readonly present: readonly boolean[];
  readonly constants: Record<string, number>;
  readonly culled: boolean;
  readonly mirrored: boolean;
  /** Depth is there already. */
  readonly prepassed: boolean;
  readonly samples: number;
}

interface Setup {
  readonly lit: boolean;
  readonly culling: boolean;
  readonly samples: 1 | 4;
  readonly hasShadow: boolean;
  /** Whether depth is drawn before colour. */
  readonly prepassed: boolean;
}

/** Depth alone needs no fragment shader, unless the material has holes. */
function needsSurface({ material }: DrawItem, kind: Pass): boolean {
  return kind === 'color' || kind === 'measure' || material.alphaMode === 'mask';
}

/** Item numbers: solid ones front to back, which spares shading what is hidden; blended ones back to front. */
function sorted(model: SceneModel, origin: readonly number[]): { solid: number[]; blended: number[] } {
  const order = model.items
    .map((item, index) => ({ index, item, distance: model.distance(item, origin) }))
    .sort((a, b) => a.distance - b.distance || a.index - b.index);
  const pick = (blended: boolean) =>
    order.filter(({ item }) => (item.material.alphaMode === 'blend') === blended).map(({ index }) => index);
  return { solid: pick(false), blended: pick(true).reverse() };
}

function checkSize({ intrinsics: { width, height } }: View, target: RenderTarget): void {
  if (width !== target.width || height !== target.height) {
    throw new InvalidArgumentError(
      'view',
      `is ${width}x${height} pixels, the target ${target.width}x${target.height}; make them equal`,
    );
  }
}
