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

/** A grid of [side, side] quads, 1 m wide, in the plane z = 0, facing +z. */
export function grid(side: number): { positions: Float32Array; uvs: Float32Array; indices: Uint32Array } {
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
    this.#bytes.push(...bytes);
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
