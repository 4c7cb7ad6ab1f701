import { openNodeDevice } from '@dwm/core-tensor/node';
import { KHRMaterialsUnlit } from '@gltf-transform/extensions';
import { expect, test } from 'vitest';
import { panel, writeGlb } from '../../tests/gltf-samples.ts';
import { cameraToWorld } from '../camera/index.ts';
import { readGltf } from '../mesh/read-gltf.ts';
import { decodeImage } from '../node/decode-image.ts';
import { combineScenes } from '../scene/combine.ts';
import type { LightRig, PlacedLight } from '../scene/lights.ts';
import type { Material, Scene } from '../scene/scene.ts';
import { frameTensor, packFrame, readColor, readFrame } from './frame-tensors.ts';
import { type DrawOptions, MeshRenderer } from './mesh-renderer.ts';
import { RenderTarget } from './render-target.ts';
import { SceneModel } from './scene-model.ts';
import type { View } from './view.ts';

const device = await openNodeDevice();
const renderer = new MeshRenderer(device);

/** Odd sizes; the panel, 1 m wide and 2 m away, covers the middle 50x50 pixels. */
const SIZE = { width: 71, height: 53 };
const view: View = {
  intrinsics: { ...SIZE, fx: 100, fy: 100, cx: SIZE.width / 2, cy: SIZE.height / 2 },
  pose: cameraToWorld('opengl', [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1]),
};

const NO_LIGHT: LightRig = { lights: [], sky: [0, 0, 0], ground: [0, 0, 0], exposure: 1 };
const light = (change: Partial<PlacedLight>): PlacedLight => ({
  type: 'directional',
  color: [1, 1, 1],
  intensity: Math.PI,
  range: Infinity,
  innerCone: 0,
  outerCone: Math.PI / 4,
  position: [0, 0, 0],
  direction: [0, 0, -1],
  castsShadow: false,
  ...change,
});

async function panelScene(material: Partial<Material> = {}): Promise<Scene> {
  const scene = await readGltf(await writeGlb(panel().document), { name: 'panel.glb' });
  return { ...scene, materials: [{ ...scene.materials[0], ...material }] };
}

const plain = (material: Partial<Material> = {}) => panelScene({ baseColorTexture: undefined, ...material });

async function draw(scene: Scene, options: DrawOptions = {}, samples: 1 | 4 = 1) {
  const model = await SceneModel.load(device, scene, { decodeImage });
  const target = new RenderTarget(device, SIZE.width, SIZE.height, { samples });
  renderer.draw(model, view, target, { background: [0, 0, 0], ...options });
  const rgb = await readColor(device, target.color);
  const depth = await readFrame(device, target.depth, 'depth');
  model.destroy();
  target.destroy();
  const pixel = (x: number, y: number) => [
    ...rgb.subarray((y * SIZE.width + x) * 3, (y * SIZE.width + x) * 3 + 3),
  ];
  return { rgb, depth, pixel, middle: pixel(35, 26) };
}

/** Display byte of a linear value (IEC 61966-2-1). */
const srgb = (value: number) =>
  Math.round(255 * (value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055));

/** Drivers may round an encoded value either way. */
function expectBytes(actual: number[], expected: number[]): void {
  expect(Math.max(...actual.map((value, i) => Math.abs(value - expected[i])))).toBeLessThanOrEqual(1);
}

test('unlit colours come out as the bytes of the picture, at their places', async () => {
  const scene = await panelScene({ unlit: true });
  const use = {
    ...scene.materials[0].baseColorTexture!,
    magFilter: 'nearest',
    minFilter: 'nearest',
  } as const;
  const { pixel } = await draw({ ...scene, materials: [{ ...scene.materials[0], baseColorTexture: use }] });
  expect(pixel(20, 10)).toEqual([255, 0, 0]);
  expect(pixel(50, 10)).toEqual([0, 255, 0]);
  expect(pixel(20, 45)).toEqual([0, 0, 255]);
  expect(pixel(50, 45)).toEqual([255, 255, 255]);
  expect(pixel(2, 2)).toEqual([0, 0, 0]);
});

test('a facing rough surface shows base colour x n.l, encoded', async () => {
  const scene = await plain({ baseColor: [0.5, 0.25, 1, 1] });
  const tilted = Math.SQRT1_2;
  const { middle } = await draw(scene, {
    lights: { ...NO_LIGHT, lights: [light({ direction: [0, -tilted, -tilted] })] },
  });
  // Diffuse (1 - F) c n.l plus a faint highlight: within 0.02 of c n.l in linear light.
  [0.5, 0.25, 1].forEach((c, i) => {
    expect(middle[i]).toBeGreaterThanOrEqual(srgb(c * tilted - 0.06));
    expect(middle[i]).toBeLessThanOrEqual(srgb(c * tilted + 0.02));
  });
});

test('lamps fall off with distance, spots end at their cone', async () => {
  const scene = await plain();
  const at = (change: Partial<PlacedLight>) =>
    draw(scene, {
      lights: { ...NO_LIGHT, lights: [light({ type: 'point', position: [0, 0, 1], ...change })] },
    });
  const [near, far] = [await at({}), await at({ position: [0, 0, 2], intensity: Math.PI * 4 })];
  expect(Math.abs(near.middle[0] - far.middle[0])).toBeLessThanOrEqual(1);
  const spot = await at({ type: 'spot', outerCone: 0.2 });
  expect(Math.abs(spot.middle[0] - near.middle[0])).toBeLessThanOrEqual(1);
  expect(spot.pixel(12, 4)).toEqual([0, 0, 0]);
});

test('emission needs no light; the sky fills what nothing covers', async () => {
  const scene = await plain({ baseColor: [0, 0, 0, 1], emissive: [0.25, 0, 0] });
  const { middle, pixel } = await draw(scene, {
    lights: { ...NO_LIGHT, sky: [0.5, 0.5, 0.5], ground: [0.5, 0.5, 0.5], exposure: 0 },
    background: undefined,
  });
  expectBytes(middle, [srgb(0.25), 0, 0]);
  expect(pixel(1, 1)).toEqual([0, 0, 0]);
  const sky = await draw(scene, {
    lights: { ...NO_LIGHT, sky: [0.5, 0.5, 0.5], ground: [0.5, 0.5, 0.5] },
    background: undefined,
  });
  expectBytes(sky.pixel(1, 1), [srgb(0.5), srgb(0.5), srgb(0.5)]);
});

test('a panel in front throws a shadow', async () => {
  const front = await plain({ alphaMode: 'opaque' });
  const two = (castsShadow: boolean) =>
    draw(
      combineScenes('two', [
        { scene: front, name: 'wall', scale: [3, 3, 1] },
        { scene: front, name: 'blind', translation: [0, 0.45, 0.5], scale: [0.3, 0.3, 1] },
      ]),
      { lights: { ...NO_LIGHT, lights: [light({ direction: [0, -0.6, -0.8], castsShadow })] } },
    );
  const [shaded, open] = [await two(true), await two(false)];
  // The blind's middle lands 0.375 m lower on the wall: y = 0.075, which the blind itself does not cover.
  expect(open.pixel(35, 23)[0]).toBeGreaterThan(200);
  expect(shaded.pixel(35, 23)).toEqual([0, 0, 0]);
  expect(shaded.pixel(35, 45)).toEqual(open.pixel(35, 45));
});

test('blending is in linear light and back to front, masks have holes, culling follows winding', async () => {
  const glass = await plain({ unlit: true, alphaMode: 'blend', baseColor: [1, 0, 0, 0.5] });
  const pane = await plain({ unlit: true, alphaMode: 'blend', baseColor: [0, 1, 0, 0.5] });
  const wall = await plain({ unlit: true });
  const { middle, depth } = await draw(
    combineScenes('panes', [
      { scene: pane, name: 'front', translation: [0, 0, 0.5] },
      { scene: glass, name: 'middle', translation: [0, 0, 0.25] },
      { scene: wall, name: 'back' },
    ]),
  );
  expectBytes(middle, [srgb(0.5), srgb(0.75), srgb(0.25)]);
  // Glass has no depth: splats behind it stay visible.
  expect(depth[26 * SIZE.width + 35]).toBeCloseTo(2, 4);
  const hole = await draw(await plain({ unlit: true, alphaMode: 'mask', baseColor: [1, 1, 1, 0.4] }));
  expect(hole.middle).toEqual([0, 0, 0]);
  const turned = combineScenes('turned', [{ scene: wall, name: 'wall', rotation: [0, 1, 0, 0] }]);
  expect((await draw(turned)).middle).toEqual([255, 255, 255]);
  expect((await draw(turned, { backFaceCulling: true })).middle).toEqual([0, 0, 0]);
  const mirrored = combineScenes('mirrored', [{ scene: wall, name: 'wall', scale: [-1, 1, 1] }]);
  expect((await draw(mirrored, { backFaceCulling: true })).middle).toEqual([255, 255, 255]);
});

test('a normal map turns the surface; without tangents they come from the coordinates', async () => {
  const scene = await panelScene();
  const use = scene.materials[0].baseColorTexture!;
  // The picture's texels as normals: red leans to +x, green to +y (up), blue faces the camera.
  const bumpy = {
    ...scene,
    materials: [
      {
        ...scene.materials[0],
        baseColorTexture: undefined,
        normalTexture: { ...use, magFilter: 'nearest' as const, minFilter: 'nearest' as const },
      },
    ],
  };
  const lit = async (direction: readonly [number, number, number]) =>
    draw(bumpy, { lights: { ...NO_LIGHT, lights: [light({ direction })] } });
  // Red texel (1, -1, -1), top left: seen from the right it is lit, from the left it is not.
  expect((await lit([-1, 0, 0])).pixel(20, 10)[0]).toBeGreaterThan(100);
  expect((await lit([1, 0, 0])).pixel(20, 10)[0]).toBe(0);
  // Green texel (-1, 1, -1), top right.
  expect((await lit([0, -1, 0])).pixel(50, 10)[0]).toBeGreaterThan(100);
  expect((await lit([0, 1, 0])).pixel(50, 10)[0]).toBe(0);
});

test('four samples smooth edges and leave the middle; both are repeatable', async () => {
  const tilted = combineScenes('tilted', [
    { scene: await plain({ unlit: true }), name: 'panel', rotation: [0, 0, Math.sin(0.2), Math.cos(0.2)] },
  ]);
  const [one, four] = [await draw(tilted), await draw(tilted, {}, 4)];
  const levels = (rgb: Uint8Array) => new Set(rgb).size;
  expect(levels(one.rgb)).toBe(2);
  expect(levels(four.rgb)).toBe(5);
  expect(four.middle).toEqual([255, 255, 255]);
  expect(four.depth).toEqual(one.depth);
  expect((await draw(tilted, {}, 4)).rgb).toEqual(four.rgb);
});

test('nodes move by name; frames go into one tensor, metres and bytes alike', async () => {
  const model = await SceneModel.load(device, await plain({ unlit: true, baseColor: [0.2, 0.5, 1, 1] }), {
    decodeImage,
  });
  const target = new RenderTarget(device, SIZE.width, SIZE.height);
  const frames = frameTensor(device, 'color', 3, SIZE.height, SIZE.width);
  const depths = frameTensor(device, 'depth', 3, SIZE.height, SIZE.width);
  const bytes: Uint8Array[] = [];
  for (let frame = 0; frame < 3; frame++) {
    model.pose(new Map([['panel', { translation: [0.3 * frame, 0, -frame] }]]));
    renderer.draw(model, view, target, { background: [0, 0, 0] });
    packFrame(target.color, 'color', frames, frame);
    packFrame(target.depth, 'depth', depths, frame);
    bytes.push(await readColor(device, target.color));
  }
  const [color, depth] = [await frames.read(), await depths.read()];
  const count = SIZE.width * SIZE.height;
  for (let frame = 0; frame < 3; frame++) {
    const got = Array.from(color.subarray(frame * count * 3, (frame + 1) * count * 3), (value) =>
      Math.round(value * 255),
    );
    expect(got).toEqual([...bytes[frame]]);
    const x = Math.round(SIZE.width / 2 + (100 * 0.3 * frame) / (2 + frame));
    expect(depth[frame * count + 26 * SIZE.width + x]).toBeCloseTo(2 + frame, 3);
  }
  expect(() => model.pose(new Map([['door', {}]]))).toThrow('has no node "door"; it has ');
  for (const resource of [model, target, frames, depths]) resource.destroy();
});

test('a scene with nothing in it is its background', async () => {
  const empty: Scene = { ...(await plain()), roots: [] };
  expect((await draw(empty, { background: [1, 0, 0] })).middle).toEqual([255, 0, 0]);
});

test('unlit of the file is read', async () => {
  const { document, primitive } = panel();
  primitive
    .getMaterial()!
    .setExtension('KHR_materials_unlit', document.createExtension(KHRMaterialsUnlit).createUnlit());
  const scene = await readGltf(await writeGlb(document), { name: 'unlit.glb' });
  // The middle of the picture's white texel.
  expect(Math.min(...(await draw(scene, { lights: NO_LIGHT })).pixel(48, 39))).toBeGreaterThan(245);
});
