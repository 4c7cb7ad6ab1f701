/** The pipelines of the mesh renderer, made when first needed: one for each pass and kind of surface. */
import type { Device } from '@dwm/core-tensor';
import { MESH_SHADER } from './mesh-shader.ts';
import { COLOR_VIEW_FORMAT, DEPTH_FORMAT } from './render-target.ts';
import { ATTRIBUTE_WIDTHS, type DrawItem, materialLayout, textureSlots } from './scene-model.ts';

/** `prepass`: depth before colour. */
export type Pass = 'color' | 'measure' | 'depth' | 'prepass' | 'shadow';

/** What all items of a drawing have in common. */
export interface DrawSetup {
  readonly lit: boolean;
  readonly culling: boolean;
  readonly samples: 1 | 4;
  readonly hasShadow: boolean;
  /** Whether depth is drawn before colour. */
  readonly prepassed: boolean;
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

/** Group 0 is the frame's, group 1 the material's. */
export class MeshPipelines {
  readonly frameLayout: GPUBindGroupLayout;
  readonly #device: Device;
  readonly #module: GPUShaderModule;
  readonly #layout: GPUPipelineLayout;
  readonly #pipelines = new Map<string, GPURenderPipeline>();

  constructor(device: Device) {
    const { gpu } = device;
    this.#device = device;
    this.#module = gpu.createShaderModule({ label: 'mesh', code: MESH_SHADER });
    const both = GPUShaderStage.VERTEX | GPUShaderStage.FRAGMENT;
    this.frameLayout = gpu.createBindGroupLayout({
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
      bindGroupLayouts: [this.frameLayout, materialLayout(device)],
    });
  }

  /** For one item in one pass. */
  of(item: DrawItem, kind: Pass, setup: DrawSetup, mirrored: boolean): GPURenderPipeline {
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
    const { samples } = setup;
    const variant: Variant = { surface, present, constants, culled, mirrored, prepassed, samples };
    return this.#cached(JSON.stringify([kind, variant]), () => this.#create(kind, variant));
  }

  /** What is behind everything. */
  background(samples: number): GPURenderPipeline {
    return this.#cached(`background ${samples}`, (label) =>
      this.#device.gpu.createRenderPipeline({
        label,
        layout: this.#device.gpu.createPipelineLayout({ bindGroupLayouts: [this.frameLayout] }),
        vertex: { module: this.#module, entryPoint: 'everywhere' },
        fragment: {
          module: this.#module,
          entryPoint: 'background',
          targets: [{ format: COLOR_VIEW_FORMAT }],
        },
        depthStencil: { format: DEPTH_FORMAT, depthWriteEnabled: false, depthCompare: 'equal' },
        multisample: { count: samples },
      }),
    );
  }

  #cached(key: string, create: (key: string) => GPURenderPipeline): GPURenderPipeline {
    const pipeline = this.#pipelines.get(key) ?? create(key);
    this.#pipelines.set(key, pipeline);
    return pipeline;
  }

  #create(kind: Pass, variant: Variant): GPURenderPipeline {
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
    return this.#device.gpu.createRenderPipeline({
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
}

/** Depth alone needs no fragment shader, unless the material has holes. */
export function needsSurface({ material }: DrawItem, kind: Pass): boolean {
  return kind === 'color' || kind === 'measure' || material.alphaMode === 'mask';
}
