/**
 * A scene on the device: vertex buffers, textures, and where every node is. `pose` moves nodes; everything else
 * stays as uploaded.
 */
import type { Device, DeviceBuffer } from '@dwm/core-tensor';
import { defaultRig, type LightRig } from '../scene/lights.ts';
import { cofactors, determinant, type Matrix, transformPoint } from '../scene/matrix.ts';
import { type Bounds, drawnNodes, type ScenePose, worldBounds, worldMatrices } from '../scene/pose.ts';
import {
  DEFAULT_MATERIAL,
  type Material,
  type Primitive,
  type Scene,
  type TextureUse,
} from '../scene/scene.ts';
import { ShadowMap } from './shadow-map.ts';
import { SkinnedVertices } from './skinning.ts';
import { type DecodeImage, decodeWithBrowser, TextureCache } from './texture-cache.ts';

/** Bytes of one `Draw` of the shader. */
const DRAW_BYTES = 112;

/** Vertex attributes in the order of the shader's locations: floats a vertex. */
export const ATTRIBUTE_WIDTHS = [3, 3, 4, 4, 4] as const;

interface PrimitiveBuffers {
  /** By location; `undefined` where the primitive has none. */
  readonly attributes: readonly (DeviceBuffer | undefined)[];
  readonly indices: DeviceBuffer;
  readonly indexCount: number;
  readonly center: readonly number[];
}

export interface DrawItem {
  /** One, or all instances of a mesh that face the same way round. */
  readonly nodes: readonly number[];
  /** Number of the first node's record. */
  readonly firstRecord: number;
  readonly primitive: PrimitiveBuffers;
  readonly attributes: readonly (GPUBuffer | undefined)[];
  readonly material: Material;
  readonly materialGroup: GPUBindGroup;
  readonly skinned: boolean;
}

/** How a scene is put onto the device. */
export interface SceneModelOptions {
  /** Needed outside browsers. */
  readonly decodeImage?: DecodeImage;
  /** Texels along an edge of the shadow map; 2048 by default, less is enough for small pictures. */
  readonly shadowTexels?: number;
}

/** The textures of a material in the order of the shader's bindings. */
export const textureSlots = (material: Material): readonly (TextureUse | undefined)[] => [
  material.baseColorTexture,
  material.specularGlossiness ? material.specularGlossinessTexture : material.metallicRoughnessTexture,
  material.normalTexture,
  material.occlusionTexture,
  material.emissiveTexture,
  material.specularTexture,
  material.specularColorTexture,
];
const SLOT_COUNT = 7;

/** Whether a slot holds colours (sRGB) rather than data. */
const holdsColor = (material: Material, slot: number) =>
  slot === 0 || slot === 4 || slot === 6 || (slot === 1 && material.specularGlossiness !== undefined);

/** A scene on the device, which can be posed. */
export class SceneModel {
  readonly scene: Scene;
  readonly items: readonly DrawItem[];
  /** World matrices of all nodes in the present pose. */
  worlds: readonly Matrix[];
  /** Grows with every pose, so that what depends on one knows when it is stale. */
  version = 0;
  readonly #skins: readonly { readonly node: number; readonly vertices: SkinnedVertices }[];
  readonly #device: Device;
  readonly #release: () => void;
  readonly #shadowTexels: number;
  #shadowMap: ShadowMap | undefined;
  #rig: LightRig | undefined;
  #bounds: Bounds | undefined;

  private constructor(
    device: Device,
    scene: Scene,
    items: readonly DrawItem[],
    skins: readonly { readonly node: number; readonly vertices: SkinnedVertices }[],
    release: () => void,
    shadowTexels: number,
  ) {
    this.#device = device;
    this.#shadowTexels = shadowTexels;
    this.scene = scene;
    this.items = items;
    this.#skins = skins;
    this.#release = release;
    this.worlds = [];
    this.pose(new Map());
  }

  /**
   * Decodes the pictures and copies everything to the device.
   * @throws InvalidFileError for a picture that cannot be decoded, OutOfMemoryError.
   */
  static async load(
    device: Device,
    scene: Scene,
    { decodeImage = decodeWithBrowser, shadowTexels = 2048 }: SceneModelOptions = {},
  ): Promise<SceneModel> {
    const owned: { destroy(): void }[] = [];
    const own = <T extends { destroy(): void }>(resource: T): T => {
      owned.push(resource);
      return resource;
    };
    const release = () => {
      for (const resource of owned) resource.destroy();
    };
    try {
      const textures = own(new TextureCache(device, decodeImage));
      const layout = materialLayout(device);
      const groups = new Map<number, GPUBindGroup>();
      const buffers = new Map<Primitive, PrimitiveBuffers>();
      const items: DrawItem[] = [];
      const skins: { node: number; vertices: SkinnedVertices }[] = [];
      let records = 0;
      for (const alike of instanceRuns(scene)) {
        const [node] = alike;
        const { mesh, skin } = scene.nodes[node];
        for (const primitive of mesh < 0 ? [] : scene.meshes[mesh].primitives) {
          if (primitive.indices.length === 0) continue;
          const material = scene.materials[primitive.material] ?? DEFAULT_MATERIAL;
          let group = groups.get(primitive.material);
          if (!group) {
            group = await createMaterialGroup(device, layout, scene, material, textures, own);
            groups.set(primitive.material, group);
          }
          let uploaded = buffers.get(primitive);
          if (!uploaded) {
            uploaded = uploadPrimitive(device, primitive, own);
            buffers.set(primitive, uploaded);
          }
          let attributes = uploaded.attributes.map((buffer) => buffer?.gpu);
          if (skin >= 0) {
            const vertices = own(new SkinnedVertices(device, primitive, scene.skins[skin].joints.length));
            skins.push({ node, vertices });
            // Tangents do not follow a skin; the shader derives them from the texture coordinates instead.
            const [, normals, , uvs, colors] = attributes;
            attributes = [vertices.positions.gpu, normals && vertices.normals.gpu, undefined, uvs, colors];
          }
          // What is blended is drawn from back to front, each instance by itself.
          for (const nodes of material.alphaMode === 'blend' ? alike.map((one) => [one]) : [alike]) {
            items.push({
              nodes,
              firstRecord: records,
              primitive: uploaded,
              attributes,
              material,
              materialGroup: group,
              skinned: skin >= 0,
            });
            records += nodes.length;
          }
        }
      }
      await device.done();
      return new SceneModel(device, scene, items, skins, release, shadowTexels);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Moves nodes; those that are not named return to where the file has them. */
  pose(pose: ScenePose): void {
    this.worlds = worldMatrices(this.scene, pose);
    this.version += 1;
    this.#bounds = undefined;
    this.#rig = undefined;
    for (const { node, vertices } of this.#skins) {
      const skin = this.scene.skins[this.scene.nodes[node].skin];
      vertices.write(
        skin.joints.map((joint) => this.worlds[joint]),
        skin.inverseBind,
      );
    }
  }

  /** Box around everything, in metres. */
  get bounds(): Bounds | undefined {
    this.#bounds ??= worldBounds(this.scene, this.worlds);
    return this.#bounds;
  }

  /** `defaultRig` of the present pose. */
  get rig(): LightRig {
    this.#rig ??= defaultRig(this.scene, this.worlds);
    return this.#rig;
  }

  /** Made when it is first drawn. */
  get shadowMap(): ShadowMap {
    this.#shadowMap ??= new ShadowMap(this.#device, this.#shadowTexels);
    return this.#shadowMap;
  }

  isMirrored({ nodes, skinned }: DrawItem): boolean {
    return !skinned && determinant(this.worlds[nodes[0]]) < 0;
  }

  /** Squared distance of an item's middle to a point. */
  distance({ nodes: [node], skinned, primitive }: DrawItem, from: readonly number[]): number {
    const world = skinned
      ? this.worlds[this.scene.skins[this.scene.nodes[node].skin].joints[0]]
      : this.worlds[node];
    const center = transformPoint(world, skinned ? [0, 0, 0] : primitive.center);
    return center.reduce((sum, value, i) => sum + (value - from[i]) ** 2, 0);
  }

  /** The shader's `Draw` records, one a node of an item, relative to a camera at `origin`. */
  drawRecords(origin: readonly number[]): ArrayBuffer {
    const placed = this.items.flatMap(({ nodes, skinned }) => nodes.map((node) => ({ node, skinned })));
    const bytes = new ArrayBuffer(Math.max(1, placed.length) * DRAW_BYTES);
    placed.forEach(({ node, skinned }, index) => {
      const floats = new Float32Array(bytes, index * DRAW_BYTES, DRAW_BYTES / 4);
      const world = skinned ? [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] : this.worlds[node];
      const normal = cofactors(world);
      const sign = determinant(world) < 0 ? -1 : 1;
      for (let row = 0; row < 3; row++) {
        for (let column = 0; column < 3; column++) {
          floats[row * 4 + column] = world[row * 4 + column];
          floats[12 + row * 4 + column] = sign * normal[row * 3 + column];
        }
        floats[row * 4 + 3] = world[row * 4 + 3] - origin[row];
      }
      new Int32Array(bytes, index * DRAW_BYTES + 96, 1)[0] = node;
      floats[25] = sign;
    });
    return bytes;
  }

  destroy(): void {
    this.#shadowMap?.texture.destroy();
    this.#release();
  }
}

/** The drawn nodes, instances of one parent together, mirrored ones apart: front faces are a pipeline's. */
function instanceRuns(scene: Scene): number[][] {
  const runs = new Map<string | number, number[]>();
  for (const node of drawnNodes(scene)) {
    const { instance, parent, mesh, scale } = scene.nodes[node];
    const mirrored = scale[0] * scale[1] * scale[2] < 0;
    const key = instance ? `${parent} ${mesh} ${mirrored}` : node;
    const run = runs.get(key);
    if (run) run.push(node);
    else runs.set(key, [node]);
  }
  return [...runs.values()];
}

type Own = <T extends { destroy(): void }>(resource: T) => T;

function uploadPrimitive(device: Device, primitive: Primitive, own: Own): PrimitiveBuffers {
  const upload = (data: Float32Array | Uint32Array, usage: number, label: string) => {
    const buffer = own(device.createBuffer(data.byteLength, usage | GPUBufferUsage.COPY_DST, label));
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    // Larger writes would each allocate staging of their size.
    for (let at = 0; at < bytes.length; at += 4 << 20) {
      device.gpu.queue.writeBuffer(buffer.gpu, at, bytes, at, Math.min(4 << 20, bytes.length - at));
    }
    return buffer;
  };
  const { positions, normals, tangents, uvs, colors } = primitive;
  const middle = [0, 1, 2].map((axis) => {
    let [low, high] = [Infinity, -Infinity];
    for (let i = axis; i < positions.length; i += 3) {
      low = Math.min(low, positions[i]);
      high = Math.max(high, positions[i]);
    }
    return (low + high) / 2;
  });
  return {
    attributes: [positions, normals, tangents, uvs, colors].map(
      (data) => data && upload(data, GPUBufferUsage.VERTEX, 'vertices'),
    ),
    indices: upload(primitive.indices, GPUBufferUsage.INDEX, 'indices'),
    indexCount: primitive.indices.length,
    center: middle,
  };
}

/** Bind group 1 of the mesh shader. */
export const materialLayout = (device: Device): GPUBindGroupLayout => device.once(createMaterialLayout);

function createMaterialLayout({ gpu }: Device): GPUBindGroupLayout {
  const visibility = GPUShaderStage.FRAGMENT;
  const slots = Array.from({ length: SLOT_COUNT }, (_, i) => i);
  return gpu.createBindGroupLayout({
    label: 'material',
    entries: [
      { binding: 0, visibility, buffer: {} },
      ...slots.map((i) => ({ binding: 1 + i, visibility, texture: {} })),
      ...slots.map((i) => ({ binding: 1 + SLOT_COUNT + i, visibility, sampler: {} })),
      { binding: 1 + 2 * SLOT_COUNT, visibility, sampler: {} },
    ],
  });
}

async function createMaterialGroup(
  device: Device,
  layout: GPUBindGroupLayout,
  scene: Scene,
  material: Material,
  textures: TextureCache,
  own: Own,
): Promise<GPUBindGroup> {
  const uniform = own(
    device.createBuffer(
      80 + 32 * SLOT_COUNT,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      `material ${material.name}`,
    ),
  );
  const uses = textureSlots(material);
  const { metallic, roughness, normalScale, occlusionStrength, dielectric, specularGlossiness } = material;
  device.gpu.queue.writeBuffer(
    uniform.gpu,
    0,
    Float32Array.of(
      ...material.baseColor,
      ...material.emissive,
      material.alphaCutoff,
      ...[metallic, roughness, normalScale, occlusionStrength],
      ...(specularGlossiness?.specular ?? dielectric?.normal ?? [0.04, 0.04, 0.04]),
      ...[dielectric?.grazing ?? 1, specularGlossiness?.glossiness ?? 0, 0, 0, 0],
      ...uses.flatMap((use) => {
        const [a, b, tx, c, d, ty] = use?.transform ?? [1, 0, 0, 0, 1, 0];
        return [a, b, tx, use?.uvSet ?? 0, c, d, ty, 0];
      }),
    ),
  );
  const views: GPUTextureView[] = [];
  for (const [i, use] of uses.entries()) {
    const color = holdsColor(material, i);
    const texture = use ? await textures.texture(scene.images[use.image], color) : textures.white;
    views.push(texture.createView());
  }
  return device.gpu.createBindGroup({
    label: `material ${material.name}`,
    layout,
    entries: [
      { binding: 0, resource: { buffer: uniform.gpu } },
      ...views.map((resource, i) => ({ binding: 1 + i, resource })),
      ...uses.map((use, i) => ({ binding: 1 + SLOT_COUNT + i, resource: textures.sampler(use) })),
      { binding: 1 + 2 * SLOT_COUNT, resource: textures.sampler(uses[0], true) },
    ],
  });
}
