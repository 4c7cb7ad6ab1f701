/**
 * A scene as plain data: nodes in a tree, meshes of triangles, materials, pictures still encoded, skins and
 * lights. Readers make it, `SceneModel` puts it on a device, and nothing in it knows of either.
 */
import type { Matrix } from './matrix.ts';

/** A node of a scene. */
export interface SceneNode {
  readonly name: string;
  /** Index in `nodes`, or -1. */
  readonly parent: number;
  readonly translation: readonly number[];
  /** Quaternion x y z w. */
  readonly rotation: readonly number[];
  readonly scale: readonly number[];
  /** Instead of the three above. */
  readonly matrix?: Matrix;
  /** Indices, or -1. */
  readonly mesh: number;
  readonly skin: number;
  readonly light: number;
  /** Not drawn, nor anything below it; KHR_node_visibility. */
  readonly hidden?: boolean;
  /** One of many alike below one parent, drawn together; EXT_mesh_gpu_instancing. */
  readonly instance?: boolean;
}

/** Triangles of one material. Every array holds one entry of its width a vertex. */
export interface Primitive {
  /** [vertices, 3], metres. */
  readonly positions: Float32Array;
  /** [vertices, 3]; without them the triangles are flat. */
  readonly normals?: Float32Array;
  /** [vertices, 4], the last is the bitangent's sign. */
  readonly tangents?: Float32Array;
  /** Two sets of texture coordinates [vertices, 4], v down from the picture's top row. */
  readonly uvs?: Float32Array;
  /** [vertices, 4], linear RGBA. */
  readonly colors?: Float32Array;
  /** Positions in the skin's list of joints [vertices, influences]. */
  readonly joints?: Uint32Array;
  readonly weights?: Float32Array;
  /** A multiple of 4; 0 without a skin. */
  readonly influences: number;
  /** [triangles, 3]. */
  readonly indices: Uint32Array;
  /** Index in `materials`, or -1 for the default one. */
  readonly material: number;
}

export type Wrap = 'repeat' | 'clamp-to-edge' | 'mirror-repeat';

/** How a material reads a picture. */
export interface TextureUse {
  /** Index in `images`. */
  readonly image: number;
  /** Texture coordinate set, 0 or 1. */
  readonly uvSet: number;
  readonly wrapU: Wrap;
  readonly wrapV: Wrap;
  readonly magFilter: GPUFilterMode;
  readonly minFilter: GPUFilterMode;
  /** `undefined`: the full picture only. */
  readonly mipFilter?: GPUFilterMode;
  /** Rows (a, b, tx), (c, d, ty) that act on (u, v, 1); KHR_texture_transform. */
  readonly transform: readonly [number, number, number, number, number, number];
}

/** glTF's metallic roughness material; factors are linear. */
export interface Material {
  readonly name: string;
  readonly baseColor: readonly number[];
  readonly emissive: readonly number[];
  readonly metallic: number;
  readonly roughness: number;
  readonly normalScale: number;
  readonly occlusionStrength: number;
  readonly alphaMode: 'opaque' | 'mask' | 'blend';
  readonly alphaCutoff: number;
  readonly doubleSided: boolean;
  readonly unlit: boolean;
  /**
   * What is no metal reflects min(normal, 1) x grazing along the normal, and grazing at grazing angles, linear; 0.04 and
   * 1 by default. KHR_materials_ior and _specular.
   */
  readonly dielectric?: { readonly normal: readonly number[]; readonly grazing: number };
  /** In alpha, what `dielectric.grazing` is multiplied by. */
  readonly specularTexture?: TextureUse;
  /** sRGB, what `dielectric.normal` is multiplied by. */
  readonly specularColorTexture?: TextureUse;
  /** Instead of metallic and roughness, base colour being the diffuse one; KHR_materials_pbrSpecularGlossiness. */
  readonly specularGlossiness?: { readonly specular: readonly number[]; readonly glossiness: number };
  readonly baseColorTexture?: TextureUse;
  readonly metallicRoughnessTexture?: TextureUse;
  /** sRGB specular colour, and glossiness in alpha. */
  readonly specularGlossinessTexture?: TextureUse;
  readonly normalTexture?: TextureUse;
  readonly occlusionTexture?: TextureUse;
  readonly emissiveTexture?: TextureUse;
}

/** What glTF has for a primitive without a material: all of its defaults. */
export const DEFAULT_MATERIAL: Material = {
  name: 'default',
  baseColor: [1, 1, 1, 1],
  emissive: [0, 0, 0],
  metallic: 1,
  roughness: 1,
  normalScale: 1,
  occlusionStrength: 1,
  alphaMode: 'opaque',
  alphaCutoff: 0.5,
  doubleSided: false,
  unlit: false,
};

/** A picture of a scene as its file holds it. */
export interface EncodedImage {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
}

/** 8-bit RGBA, not premultiplied, rows from the top. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Joints that move a mesh. */
export interface Skin {
  /** Node indices. */
  readonly joints: readonly number[];
  /** One a joint. */
  readonly inverseBind: readonly Matrix[];
}

/** A light of KHR_lights_punctual; it shines along -z of its node. */
export interface PunctualLight {
  readonly type: 'directional' | 'point' | 'spot';
  readonly color: readonly number[];
  /** Lux for directional lights, candela for the others. */
  readonly intensity: number;
  /** Metres; Infinity when there is no limit. */
  readonly range: number;
  /** Radians from the axis, of spots. */
  readonly innerCone: number;
  readonly outerCone: number;
}

/** A scene as plain data. */
export interface Scene {
  /** File name, for messages. */
  readonly name: string;
  readonly nodes: readonly SceneNode[];
  /** Nodes that are drawn with all below them. */
  readonly roots: readonly number[];
  readonly meshes: readonly { readonly name: string; readonly primitives: readonly Primitive[] }[];
  readonly materials: readonly Material[];
  readonly images: readonly EncodedImage[];
  readonly skins: readonly Skin[];
  readonly lights: readonly PunctualLight[];
}
