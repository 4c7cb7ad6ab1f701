import { InvalidFileError } from '@dwm/core-tensor';
import type { GLTF } from '@gltf-transform/core';
import { KHRLightsPunctual, KHRMaterialsUnlit, KHRTextureTransform } from '@gltf-transform/extensions';
import { expect, test } from 'vitest';
import { glb, panel, SquareGltf, unpackGlb, writeGlb } from '../../tests/gltf-samples.ts';
import { readGltf } from './read-gltf.ts';

const read = (bytes: Uint8Array) => readGltf(bytes, { name: 'a.glb' });

test.each(['draco', 'meshopt'] as const)('%s unpacks to the plain file', async (packing) => {
  const plain = (await read(await writeGlb(panel().document))).meshes[0].primitives[0];
  const packed = (await read(await writeGlb(panel().document, packing))).meshes[0].primitives[0];
  // Packing reorders vertices: compare every triangle's corners as positions, in any order of triangles.
  const corners = ({ positions, indices }: typeof plain) => {
    const triangles: string[] = [];
    for (let t = 0; t < indices.length; t += 3) {
      const points = [0, 1, 2].map((c) =>
        Array.from(positions.subarray(indices[t + c] * 3, indices[t + c] * 3 + 3), (x) =>
          x.toFixed(2),
        ).join(),
      );
      const first = points.indexOf([...points].sort()[0]);
      triangles.push([...points.slice(first), ...points.slice(0, first)].join(' '));
    }
    return triangles.sort();
  };
  expect(corners(packed)).toEqual(corners(plain));
});

test('KHR_meshopt_compression is read as its predecessor', async () => {
  const { json, binary } = unpackGlb(await writeGlb(panel().document, 'meshopt'));
  const renamed = JSON.parse(JSON.stringify(json).replaceAll('EXT_meshopt', 'KHR_meshopt'));
  expect(await read(glb(renamed, binary))).toEqual(await read(glb(json, binary)));
});

test('strips, fans, sparse and normalised accessors, lights, unlit', async () => {
  const { document, primitive } = panel(1);
  const buffer = document.getRoot().listBuffers()[0];
  const positions = Float32Array.of(0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0);
  const accessor = document.createAccessor().setType('VEC3').setArray(positions).setBuffer(buffer);
  const colors = document
    .createAccessor()
    .setType('VEC4')
    .setArray(new Uint8Array(16).fill(51))
    .setNormalized(true)
    .setBuffer(buffer);
  primitive
    .getMaterial()!
    .setExtension('KHR_materials_unlit', document.createExtension(KHRMaterialsUnlit).createUnlit());
  for (const mode of [5, 6] as const) {
    document
      .getRoot()
      .listMeshes()[0]
      .addPrimitive(
        document
          .createPrimitive()
          .setMode(mode)
          .setAttribute('POSITION', accessor)
          .setAttribute('COLOR_0', colors),
      );
  }
  const sparse = document.createAccessor().setType('VEC3').setBuffer(buffer).setSparse(true);
  sparse.setArray(Float32Array.of(0, 0, 0, 0, 5, 0, 0, 0, 0));
  document
    .getRoot()
    .listMeshes()[0]
    .addPrimitive(document.createPrimitive().setAttribute('POSITION', sparse));
  const light = document.createExtension(KHRLightsPunctual).createLight().setType('spot').setIntensity(7);
  document.createNode('lamp').setExtension('KHR_lights_punctual', light);

  const scene = await read(await writeGlb(document));
  const [, strip, fan, triangle] = scene.meshes[0].primitives;
  expect([...strip.indices]).toEqual([0, 1, 2, 2, 1, 3]);
  expect([...fan.indices]).toEqual([0, 1, 2, 0, 2, 3]);
  expect(strip.colors![3]).toBeCloseTo(0.2, 6);
  expect([...triangle.positions]).toEqual([0, 0, 0, 0, 5, 0, 0, 0, 0]);
  expect(scene.materials[0].unlit).toBe(true);
  expect(scene.lights[0]).toMatchObject({ type: 'spot', intensity: 7 });
  expect(scene.nodes.find(({ name }) => name === 'lamp')!.light).toBe(0);
});

test('a texture transform turns coordinates counter-clockwise, v down, after scaling them', async () => {
  const { document, primitive } = panel(1);
  const change = document.createExtension(KHRTextureTransform).createTransform();
  change
    .setOffset([0.5, 0.25])
    .setRotation(Math.PI / 2)
    .setScale([2, 3])
    .setTexCoord(1);
  primitive.getMaterial()!.getBaseColorTextureInfo()!.setExtension('KHR_texture_transform', change);
  const { transform, uvSet } = (await read(await writeGlb(document))).materials[0].baseColorTexture!;
  [0, 3, 0.5, -2, 0, 0.25].forEach((value, i) => {
    expect(transform[i]).toBeCloseTo(value, 6);
  });
  expect(uvSet).toBe(1);
});

const damage: [string, (json: GLTF.IGLTF) => unknown, string][] = [
  ['a cycle', ({ nodes }) => nodes!.map((node, i) => Object.assign(node, { children: [1 - i] })), 'ancestor'],
  ['two parents', ({ nodes }) => nodes!.push({ children: [0] }), 'already has the parent'],
  [
    'an accessor of 10^10 entries',
    (json) => Object.assign(json.accessors![1], { count: 1e10 }),
    'accessors[1].count',
  ],
  [
    'a count past its bytes',
    (json) => Object.assign(json.accessors![1], { count: 1000 }),
    'accessors[1].count',
  ],
  [
    'a 10 GB buffer',
    (json) => Object.assign(json.buffers![0], { byteLength: 1e10 }),
    'buffers[0].byteLength',
  ],
  [
    'a view past its buffer',
    (json) => Object.assign(json.bufferViews![0], { byteOffset: 1e9 }),
    'bufferViews[0]',
  ],
  ['a mesh that is not there', (json) => Object.assign(json.nodes![0], { mesh: 9 }), 'nodes[0].mesh'],
  [
    'a translation that is no vector',
    (json) => Object.assign(json.nodes![0], { translation: [1, null, 2] }),
    'nodes[0].translation',
  ],
  [
    'zeros without end',
    (json) => json.accessors!.push({ count: 2 ** 40, type: 'MAT4', componentType: 5126 }),
    'accessors[',
  ],
  [
    'an unknown requirement',
    (json) => Object.assign(json, { extensionsRequired: ['EXT_other'] }),
    'EXT_other',
  ],
  ['another version', (json) => Object.assign(json.asset, { version: '1.0' }), 'asset.version'],
];
test.each(damage)('%s is named', async (_, change, expected) => {
  const { json, binary } = unpackGlb(await writeGlb(panel().document));
  change(json);
  const error = await read(glb(json, binary)).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(InvalidFileError);
  expect((error as Error).message).toContain(expected);
  expect((error as Error).message).not.toContain('\n');
});

test('NaN and indices out of range in the bytes are named', async () => {
  const set = (type: string, change: (view: DataView, at: number) => void) => async () => {
    const { json, binary } = unpackGlb(await writeGlb(panel().document));
    const bytes = new Uint8Array(binary);
    const [primitive] = json.meshes![0].primitives;
    const accessor = json.accessors![type === 'indices' ? primitive.indices! : primitive.attributes[type]];
    const at = (accessor.byteOffset ?? 0) + (json.bufferViews![accessor.bufferView!].byteOffset ?? 0);
    change(new DataView(bytes.buffer), at);
    return read(glb(json, bytes));
  };
  await expect(set('POSITION', (view, at) => view.setFloat32(at, Number.NaN, true))()).rejects.toThrow(
    'POSITION: entry 0',
  );
  await expect(set('indices', (view, at) => view.setUint16(at, 999, true))()).rejects.toThrow(
    'refer to vertex 999',
  );
});

test('a truncated file says how much is missing', async () => {
  const whole = await writeGlb(panel().document);
  await expect(read(whole.subarray(0, 300))).rejects.toThrow(`says ${whole.length} bytes, the file has 300`);
  await expect(read(new Uint8Array(100))).rejects.toThrow('neither a GLB file nor glTF JSON');
});

test('alpha modes are those of glTF, letter by letter', async () => {
  const modes = { OPAQUE: 'opaque', MASK: 'mask', BLEND: 'blend', mask: 'opaque', toString: 'opaque' };
  for (const [given, read] of Object.entries(modes)) {
    const gltf = new SquareGltf();
    gltf.json.materials[0].alphaMode = given;
    const scene = await readGltf(gltf.glb(), { name: 'a.glb', warn: () => {} });
    expect(scene.materials[0].alphaMode, given).toBe(read);
  }
});
