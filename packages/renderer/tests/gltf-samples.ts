/** Small glTF files made in code, so that readers can be tested without shared data. */
import { Document, type GLTF, Logger, type Primitive, WebIO } from '@gltf-transform/core';
import {
  EXTMeshoptCompression,
  KHRDracoMeshCompression,
  KHRLightsPunctual,
  KHRMaterialsUnlit,
  KHRMeshQuantization,
  KHRTextureTransform,
} from '@gltf-transform/extensions';
import draco from 'draco3dgltf';
import { MeshoptEncoder } from 'meshoptimizer/encoder';
import { PNG } from 'pngjs';
import { basisKtx2 } from './ktx2-samples.ts';

/** A grid of [side, side] quads, 1 m wide, in the plane z = 0, facing +z. */
function grid(side: number): { positions: Float32Array; uvs: Float32Array; indices: Uint32Array } {
  const positions: number[] = [];
  const uvs: number[] = [];
  const indices: number[] = [];
  for (let y = 0; y <= side; y++) {
    for (let x = 0; x <= side; x++) {
      positions.push(x / side - 0.5, y / side - 0.5, 0);
      uvs.push(x / side, 1 - y / side);
    }
  }
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const [a, b] = [y * (side + 1) + x, (y + 1) * (side + 1) + x];
      indices.push(a, a + 1, b + 1, a, b + 1, b);
    }
  }
  return {
    positions: Float32Array.from(positions),
    uvs: Float32Array.from(uvs),
    indices: Uint32Array.from(indices),
  };
}

/** A PNG of 2x2 pixels: red, green / blue, white. */
export function fourPixels(): Uint8Array<ArrayBuffer> {
  const png = new PNG({ width: 2, height: 2 });
  png.data = Buffer.from([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255, 255, 255, 255]);
  return new Uint8Array(PNG.sync.write(png));
}

/** A document with one textured grid on the node "panel" below "holder". */
export function panel(side = 4): { document: Document; primitive: Primitive } {
  const document = new Document().setLogger(new Logger(Logger.Verbosity.SILENT));
  const buffer = document.createBuffer();
  const { positions, uvs, indices } = grid(side);
  const accessor = (type: 'VEC3' | 'VEC2' | 'SCALAR', array: Float32Array | Uint32Array) =>
    document
      .createAccessor()
      .setType(type)
      .setArray(array as Float32Array<ArrayBuffer>)
      .setBuffer(buffer);
  const normals = positions.map((_, i) => (i % 3 === 2 ? 1 : 0));
  const texture = document.createTexture('four').setImage(fourPixels()).setMimeType('image/png');
  const primitive = document
    .createPrimitive()
    .setIndices(accessor('SCALAR', indices))
    .setAttribute('POSITION', accessor('VEC3', positions))
    .setAttribute('NORMAL', accessor('VEC3', normals))
    .setAttribute('TEXCOORD_0', accessor('VEC2', uvs))
    .setMaterial(
      document.createMaterial('four').setBaseColorTexture(texture).setRoughnessFactor(1).setMetallicFactor(0),
    );
  const node = document.createNode('panel').setMesh(document.createMesh('panel').addPrimitive(primitive));
  document.createScene().addChild(document.createNode('holder').addChild(node));
  return { document, primitive };
}

export type Packing = 'plain' | 'draco' | 'meshopt';

export async function writeGlb(
  document: Document,
  packing: Packing = 'plain',
): Promise<Uint8Array<ArrayBuffer>> {
  if (packing === 'draco') document.createExtension(KHRDracoMeshCompression).setRequired(true);
  if (packing === 'meshopt') {
    document.createExtension(EXTMeshoptCompression).setRequired(true);
    await MeshoptEncoder.ready;
  }
  const io = new WebIO()
    .setLogger(new Logger(Logger.Verbosity.SILENT))
    .registerExtensions([
      EXTMeshoptCompression,
      KHRDracoMeshCompression,
      KHRLightsPunctual,
      KHRMaterialsUnlit,
      KHRMeshQuantization,
      KHRTextureTransform,
    ])
    .registerDependencies({
      'draco3d.encoder': await draco.createEncoderModule(),
      'meshopt.encoder': MeshoptEncoder,
    });
  return io.writeBinary(document);
}

/** A GLB of its JSON and binary chunk. */
export function glb(json: object, binary: Uint8Array = new Uint8Array()): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(json));
  const padded = (bytes: Uint8Array, fill: number) => {
    const out = new Uint8Array(Math.ceil(bytes.length / 4) * 4).fill(fill);
    out.set(bytes);
    return out;
  };
  const chunks = [
    [0x4e4f534a, padded(text, 32)],
    [0x004e4942, padded(binary, 0)],
  ] as const;
  const total = chunks.reduce((sum, [, data]) => sum + 8 + data.length, 12);
  const out = new Uint8Array(total);
  const view = new DataView(out.buffer);
  for (const [i, value] of [0x46546c67, 2, total].entries()) view.setUint32(i * 4, value, true);
  let at = 12;
  for (const [kind, data] of chunks) {
    view.setUint32(at, data.length, true);
    view.setUint32(at + 4, kind, true);
    out.set(data, at + 8);
    at += 8 + data.length;
  }
  return out;
}

/** The JSON and binary chunk of a GLB. */
export function unpackGlb(bytes: Uint8Array): { json: GLTF.IGLTF; binary: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = view.getUint32(12, true);
  return {
    json: JSON.parse(new TextDecoder().decode(bytes.subarray(20, 20 + length))),
    binary: bytes.subarray(28 + length),
  };
}

type Numbers = Float32Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Uint32Array;
const WIDTHS = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4, MAT4: 16 } as const;
const COMPONENTS = new Map<unknown, number>([
  [Int8Array, 5120],
  [Uint8Array, 5121],
  [Int16Array, 5122],
  [Uint16Array, 5123],
  [Uint32Array, 5125],
  [Float32Array, 5126],
]);

/** A glTF written by hand, for what glTF-Transform would put right: a red unlit square, 1 m wide, on node 0. */
export class SquareGltf {
  // Loose on purpose: tests put into it what the format does not allow.
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any form
  readonly json: any;
  readonly #bytes: number[] = [];

  constructor() {
    this.json = { asset: { version: '2.0' }, scene: 0, scenes: [{ nodes: [0] }], nodes: [{ mesh: 0 }] };
    const positions = Float32Array.of(-0.5, -0.5, 0, 0.5, -0.5, 0, 0.5, 0.5, 0, -0.5, 0.5, 0);
    const attributes = { POSITION: this.accessor('VEC3', positions) };
    const indices = this.accessor('SCALAR', Uint16Array.of(0, 1, 2, 0, 2, 3));
    this.json.meshes = [{ primitives: [{ attributes, indices, material: 0 }] }];
    this.json.materials = [
      { pbrMetallicRoughness: { baseColorFactor: [1, 0, 0, 1] }, extensions: { KHR_materials_unlit: {} } },
    ];
  }

  /** Index of a new bufferView. */
  view(bytes: Uint8Array): number {
    while (this.#bytes.length % 4 !== 0) this.#bytes.push(0);
    this.json.bufferViews ??= [];
    const byteOffset = this.#bytes.length;
    for (const byte of bytes) this.#bytes.push(byte);
    return this.json.bufferViews.push({ buffer: 0, byteOffset, byteLength: bytes.length }) - 1;
  }

  /** Index of a new accessor. */
  accessor(type: keyof typeof WIDTHS, values: Numbers, normalized = false): number {
    const bufferView = this.view(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    this.json.accessors ??= [];
    const count = values.length / WIDTHS[type];
    const componentType = COMPONENTS.get(values.constructor);
    return this.json.accessors.push({ bufferView, componentType, count, type, normalized }) - 1;
  }

  glb(): Uint8Array<ArrayBuffer> {
    this.json.buffers = [{ byteLength: this.#bytes.length }];
    return glb(this.json, Uint8Array.from(this.#bytes));
  }
}

/** Every extension that is drawn and is not compression, and much that is only said. */
export function everything(): SquareGltf {
  const gltf = new SquareGltf();
  const { json } = gltf;
  const corners = (...values: number[]) =>
    Float32Array.from({ length: 4 * values.length }, (_, i) => values[i % values.length]);
  const [primitive] = json.meshes[0].primitives;
  primitive.attributes.NORMAL = gltf.accessor('VEC3', corners(0, 0, 1));
  primitive.attributes.TEXCOORD_0 = gltf.accessor('VEC2', Float32Array.of(0, 1, 1, 1, 1, 0, 0, 0));
  primitive.attributes.COLOR_0 = gltf.accessor('VEC3', new Uint8Array(12).fill(200), true);
  const at = gltf.view(new Uint8Array(Uint16Array.of(1, 2).buffer));
  const values = gltf.view(new Uint8Array(Float32Array.of(0.2, 0, 0, 0, 0.2, 0).buffer));
  json.accessors.push({
    componentType: 5126,
    count: 4,
    type: 'VEC3',
    sparse: {
      count: 2,
      indices: { bufferView: at, componentType: 5123 },
      values: { bufferView: values },
    },
  });
  primitive.targets = [
    { POSITION: json.accessors.length - 1, NORMAL: gltf.accessor('VEC3', corners(0.5, 0, 0)) },
    { COLOR_0: gltf.accessor('VEC4', corners(0, -0.5, 0.5, 0)) },
  ];
  json.meshes[0].weights = [0.5, 1];
  json.meshes.push({
    primitives: [{ ...primitive, targets: undefined, material: 1, attributes: { ...primitive.attributes } }],
  });
  Object.assign(json.meshes[1].primitives[0].attributes, {
    JOINTS_0: gltf.accessor('VEC4', new Uint8Array(16)),
    WEIGHTS_0: gltf.accessor('VEC4', corners(1, 0, 0, 0)),
  });
  json.meshes.push({ primitives: [{ ...primitive, targets: undefined, mode: 1 }] });
  json.images = [
    { mimeType: 'image/png', bufferView: gltf.view(fourPixels()) },
    { mimeType: 'image/ktx2', bufferView: gltf.view(basisKtx2('etc1s-alpha')) },
    { mimeType: 'image/ktx2', bufferView: gltf.view(basisKtx2('uastc-zstd')) },
  ];
  json.samplers = [{ magFilter: 9728, minFilter: 9987, wrapS: 33071, wrapT: 33648 }];
  json.textures = [
    { source: 0, sampler: 0 },
    { source: 0, extensions: { KHR_texture_basisu: { source: 1 } } },
    { extensions: { KHR_texture_basisu: { source: 2 } } },
  ];
  json.materials[0].pbrMetallicRoughness.baseColorTexture = { index: 1 };
  const transform = { offset: [0.1, 0], rotation: 0.3, scale: [2, 2], texCoord: 0 };
  json.materials.push({
    name: 'old',
    alphaMode: 'BLEND',
    doubleSided: true,
    extensions: {
      KHR_materials_pbrSpecularGlossiness: {
        diffuseFactor: [1, 0.5, 0.2, 0.8],
        diffuseTexture: { index: 2, extensions: { KHR_texture_transform: transform } },
        specularFactor: [0.2, 0.2, 0.2],
        glossinessFactor: 0.6,
        specularGlossinessTexture: { index: 0 },
      },
      KHR_materials_clearcoat: { clearcoatFactor: 1 },
    },
  });
  json.materials.push({
    name: 'glass',
    emissiveFactor: [0.1, 0, 0],
    extensions: {
      KHR_materials_ior: { ior: 1.4 },
      KHR_materials_specular: { specularFactor: 0.5, specularColorFactor: [1, 0.5, 1] },
      KHR_materials_emissive_strength: { emissiveStrength: 2 },
      KHR_materials_transmission: { transmissionFactor: 1 },
    },
  });
  json.meshes[0].primitives.push({ ...primitive, material: 2, targets: primitive.targets });
  const instances = {
    TRANSLATION: gltf.accessor('VEC3', Float32Array.of(-0.1, 0, 0, 0.1, 0, -0.1)),
    ROTATION: gltf.accessor('VEC4', Int8Array.of(0, 0, 0, 127, 0, 0, 90, 90), true),
    SCALE: gltf.accessor('VEC3', Float32Array.of(0.3, 0.3, 0.3, -0.3, 0.3, 0.3)),
  };
  json.extensions = { KHR_lights_punctual: { lights: [{ type: 'spot', intensity: 3, spot: {} }] } };
  json.nodes = [
    { name: 'shaped', mesh: 0, weights: [1, 0.25], scale: [0.2, 0.2, 0.2] },
    { name: 'copies', mesh: 0, extensions: { EXT_mesh_gpu_instancing: { attributes: instances } } },
    { name: 'hidden', mesh: 1, children: [3], extensions: { KHR_node_visibility: { visible: false } } },
    { name: 'lamp', extensions: { KHR_lights_punctual: { light: 0 } } },
    { name: 'bent', mesh: 1, skin: 0 },
    { name: 'bone', translation: [0, 0.1, 0], scale: [0.3, 0.3, 0.3] },
    { name: 'wires', mesh: 2, extensions: { MSFT_lod: { ids: [0] } } },
  ];
  json.skins = [{ joints: [5] }];
  json.scenes = [{ nodes: [0, 1, 2, 4, 5, 6] }, { name: 'other', nodes: [0] }];
  json.animations = [{ name: 'walk', channels: [], samplers: [] }];
  return gltf;
}
