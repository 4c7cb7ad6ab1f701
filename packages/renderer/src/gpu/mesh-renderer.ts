/**
 * Draws a `SceneModel`: a shadow map when the pose has changed, then opaque surfaces front to back, the
 * background, and blended surfaces back to front. `measure` draws the same surfaces as data.
 */
import { type Device, type DeviceBuffer, InvalidArgumentError } from '@dwm/core-tensor';
import { columnMajor } from '../camera/pose.ts';
import type { LightRig } from '../scene/lights.ts';
import type { Bounds } from '../scene/pose.ts';
import { GrowingBuffer } from './growing-buffer.ts';
import { type DrawSetup, MeshPipelines, needsSurface, type Pass } from './mesh-pipelines.ts';
import { FRAME_BYTES, frameUniforms, lightRecords } from './mesh-uniforms.ts';
import { COLOR_VIEW_FORMAT, DEPTH_FORMAT, type RenderTarget } from './render-target.ts';
import { ATTRIBUTE_WIDTHS, type SceneModel } from './scene-model.ts';
import type { ShadowMap } from './shadow-map.ts';
import { positionOf, type View } from './view.ts';

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

/** Draws scenes of meshes. */
export class MeshRenderer {
  readonly device: Device;
  readonly #pipelines: MeshPipelines;
  readonly #comparison: GPUSampler;
  readonly #noShadow: GPUTexture;
  /** Zeros at 0 and ones at 16: what a vertex without an attribute reads. */
  readonly #filler: DeviceBuffer;
  readonly #frame: DeviceBuffer;
  readonly #shadowFrame: DeviceBuffer;
  readonly #draws: GrowingBuffer;
  readonly #lights: GrowingBuffer;

  constructor(device: Device) {
    const { gpu } = device;
    this.device = device;
    this.#pipelines = new MeshPipelines(device);
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
    this.#draws = new GrowingBuffer(device, 'draws');
    this.#lights = new GrowingBuffer(device, 'lights');
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
    pass.setPipeline(this.#pipelines.background(target.samples));
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

  #writeFrame(
    model: SceneModel,
    view: View,
    rig: LightRig,
    shadow: ShadowMap | undefined,
    { background }: DrawOptions,
  ): void {
    const origin = positionOf(view);
    this.#draws.write(model.drawRecords(origin));
    this.#lights.write(lightRecords(rig, origin));
    const frame = frameUniforms(view, rig, shadow, background);
    this.device.gpu.queue.writeBuffer(this.#frame.gpu, 0, frame);
  }

  #frameGroup(shadow: GPUTexture, frame: DeviceBuffer): GPUBindGroup {
    return this.device.gpu.createBindGroup({
      layout: this.#pipelines.frameLayout,
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
    this.#draws.write(model.drawRecords(shadow.center));
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

  #drawItem(
    pass: GPURenderPassEncoder,
    model: SceneModel,
    index: number,
    kind: Pass,
    setup: DrawSetup,
  ): void {
    const item = model.items[index];
    pass.setPipeline(this.#pipelines.of(item, kind, setup, model.isMirrored(item)));
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
