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
