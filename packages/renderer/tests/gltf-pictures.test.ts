/**
 * What glTF's specification and its extensions say a file shows, at pixels. The camera stands at (0, 0, 3) and looks
 * along -z; 20 pixels are a metre at z = 0, and the picture is 61 wide and 47 high.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, describe, expect, test } from 'vitest';
import { cameraToWorld } from '../src/camera/index.ts';
import { readColor } from '../src/gpu/frame-tensors.ts';
import { type DrawOptions, MeshRenderer } from '../src/gpu/mesh-renderer.ts';
import { RenderTarget } from '../src/gpu/render-target.ts';
import { SceneModel } from '../src/gpu/scene-model.ts';
import { readGltf } from '../src/mesh/read-gltf.ts';
import { decodeImage } from '../src/node/decode-image.ts';
import type { LightRig } from '../src/scene/lights.ts';
import type { Scene } from '../src/scene/scene.ts';
import { fourPixels, SquareGltf } from './gltf-samples.ts';
import { BASIS_KINDS, basisKtx2, FOUR } from './ktx2-samples.ts';

const device = await openNodeDevice();
const renderer = new MeshRenderer(device);
const [width, height] = [61, 47];
const target = new RenderTarget(device, width, height);
const view = {
  intrinsics: { width, height, fx: 60, fy: 60, cx: width / 2, cy: height / 2 },
  pose: cameraToWorld('opengl', [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 0, 0, 0, 1]),
};
afterAll(() => device.destroy());

function near(actual: number[], wanted: number[]): void {
  actual.forEach((value, i) => {
    expect(Math.abs(value - wanted[i]), `${actual} for ${wanted}`).toBeLessThanOrEqual(1);
  });
}

const RED = [255, 0, 0];
const BLACK = [0, 0, 0];

interface Shown {
  /** The pixel that shows (x, y, 0), metres. */
  readonly at: (x: number, y?: number) => number[];
  readonly red: number;
  readonly scene: Scene;
  readonly warnings: readonly string[];
}

async function show(gltf: SquareGltf, options: DrawOptions = {}): Promise<Shown> {
  const warnings: string[] = [];
  const scene = await readGltf(gltf.glb(), { name: 'a.glb', warn: (line) => warnings.push(line) });
  const model = await SceneModel.load(device, scene, { decodeImage });
  renderer.draw(model, view, target, { background: [0, 0, 0], ...options });
  const rgb = await readColor(device, target.color);
  model.destroy();
  const pixel = (x: number, y: number) => [...rgb.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)];
  const red = rgb.filter((value, i) => i % 3 === 0 && value > 100).length;
  const at = (x: number, y = 0) => pixel(Math.floor(width / 2 + 20 * x), Math.floor(height / 2 - 20 * y));
  return { at, red, scene, warnings };
}

/** @param extension put on node 0. */
function squareWith(name: string, extension: (gltf: SquareGltf) => object): SquareGltf {
  const gltf = new SquareGltf();
  gltf.json.nodes[0].extensions = { [name]: extension(gltf) };
  return gltf;
}

describe('KHR_node_visibility', () => {
  const hide = (node: object) =>
    Object.assign(node, { extensions: { KHR_node_visibility: { visible: false } } });

  test('a hidden node is not there, one that says it is visible is', async () => {
    const gltf = new SquareGltf();
    hide(gltf.json.nodes[0]);
    const hidden = await show(gltf);
    expect(hidden.red).toBe(0);
    expect(hidden.warnings).toEqual(['a.glb: shows no triangle: the picture stays empty']);
    gltf.json.nodes[0].extensions.KHR_node_visibility.visible = true;
    expect(await show(gltf)).toMatchObject({ red: 400, warnings: [] });
  });

  test('what is below a hidden node is not there, meshes and lights, whatever it says of itself', async () => {
    const gltf = new SquareGltf();
    gltf.json.extensions = { KHR_lights_punctual: { lights: [{ type: 'point' }] } };
    gltf.json.scenes[0].nodes = [1];
    gltf.json.nodes = [
      { mesh: 0, extensions: { KHR_node_visibility: { visible: true } } },
      { children: [2, 4] },
      hide({ children: [0, 3] }),
      { extensions: { KHR_lights_punctual: { light: 0 } } },
      { mesh: 0, translation: [1, 0, 0] },
    ];
    const { at, scene } = await show(gltf);
    expect([at(0), at(1)]).toEqual([BLACK, RED]);
    const model = await SceneModel.load(device, scene, { decodeImage });
    // The studio's lights stand in: the file's only one is hidden.
    expect(model.rig.lights).toHaveLength(3);
    model.destroy();
  });

  test('joints below a hidden node still move their skin', async () => {
    const gltf = new SquareGltf();
    const { attributes } = gltf.json.meshes[0].primitives[0];
    attributes.JOINTS_0 = gltf.accessor('VEC4', new Uint8Array(16));
    attributes.WEIGHTS_0 = gltf.accessor(
      'VEC4',
      Uint8Array.from({ length: 16 }, (_, i) => (i % 4 ? 0 : 255)),
      true,
    );
    gltf.json.nodes = [{ mesh: 0, skin: 0 }, hide({ translation: [1, 0, 0] })];
    gltf.json.scenes[0].nodes = [0, 1];
    // Without inverseBindMatrices they are identities.
    gltf.json.skins = [{ joints: [1] }];
    const { at } = await show(gltf);
    expect([at(0), at(1)]).toEqual([BLACK, RED]);
  });

  test('a visibility that is no truth value is named', async () => {
    const gltf = squareWith('KHR_node_visibility', () => ({ visible: 'no' }));
    await expect(show(gltf)).rejects.toThrow(
      'nodes[0].extensions.KHR_node_visibility.visible: expected true or false, got "no"',
    );
  });
});

describe('morph targets', () => {
  /** Moves all corners by one vector at weight 1. */
  const moved = (x: number, y: number) => Float32Array.of(x, y, 0, x, y, 0, x, y, 0, x, y, 0);

  function morphed(): SquareGltf {
    const gltf = new SquareGltf();
    gltf.json.meshes[0].primitives[0].targets = [
      { POSITION: gltf.accessor('VEC3', moved(1, 0)) },
      { POSITION: gltf.accessor('VEC3', moved(0, 0.8)) },
    ];
    return gltf;
  }

  test("a mesh's weights hold until a node has its own", async () => {
    const gltf = morphed();
    expect((await show(gltf)).at(0)).toEqual(RED);
    gltf.json.meshes[0].weights = [1, 0.5];
    const own = await show(gltf);
    expect([own.at(0), own.at(1, 0.4), own.at(1, -0.2)]).toEqual([BLACK, RED, BLACK]);
    gltf.json.nodes = [{ mesh: 0, weights: [-1, 0] }, { mesh: 0 }, { mesh: 0, weights: [-1, 0] }];
    gltf.json.scenes[0].nodes = [0, 1, 2];
    const both = await show(gltf);
    expect([both.at(-1), both.at(0), both.at(1, 0.4)]).toEqual([RED, BLACK, RED]);
    // The file's mesh and two morphed ones: nodes alike share one.
    expect(both.scene.meshes).toHaveLength(3);
    expect(both.warnings).toEqual([]);
  });

  test('sparse and quantized targets, with the colours they change', async () => {
    const gltf = new SquareGltf();
    const { json } = gltf;
    const [primitive] = json.meshes[0].primitives;
    json.materials[0].pbrMetallicRoughness.baseColorFactor = [1, 1, 1, 1];
    primitive.attributes.COLOR_0 = gltf.accessor('VEC3', new Uint8Array(12).fill(255), true);
    // Only two corners of four are listed; shorts are 1/32767 each.
    const at = gltf.view(new Uint8Array(Uint16Array.of(1, 2).buffer));
    const values = gltf.view(new Uint8Array(Int16Array.of(32767, 0, 0, 32767, 0, 0).buffer));
    json.accessors.push({
      componentType: 5122,
      normalized: true,
      count: 4,
      type: 'VEC3',
      sparse: {
        count: 2,
        indices: { bufferView: at, componentType: 5123 },
        values: { bufferView: values },
      },
    });
    const stretch = json.accessors.length - 1;
    const colors = Float32Array.from({ length: 16 }, (_, i) => [-2, -1, 3, 0][i % 4]);
    primitive.targets = [
      { POSITION: stretch },
      // Four numbers on a base of three, which glTF allows; clamped to 0..1.
      { COLOR_0: gltf.accessor('VEC4', colors) },
    ];
    json.meshes[0].weights = [1, 0.5];
    const { at: pixel, scene } = await show(gltf);
    for (const x of [1.4, -0.4]) near(pixel(x), [0, 188, 255]);
    const stretched = scene.meshes[1].primitives[0];
    expect([...stretched.positions.subarray(3, 6)]).toEqual([1.5, -0.5, 0]);
    expect([...stretched.colors!.subarray(0, 4)]).toEqual([0, 0.5, 1, 1]);
  });

  test('normals, tangents and coordinates are summed', async () => {
    const gltf = morphed();
    const [primitive] = gltf.json.meshes[0].primitives;
    const all = (values: number[]) =>
      Float32Array.from({ length: 4 * values.length }, (_, i) => values[i % values.length]);
    Object.assign(primitive.attributes, {
      NORMAL: gltf.accessor('VEC3', all([0, 0, 1])),
      TANGENT: gltf.accessor('VEC4', all([1, 0, 0, -1])),
      TEXCOORD_1: gltf.accessor('VEC2', all([0.5, 0.25])),
    });
    primitive.targets = [
      {
        NORMAL: gltf.accessor('VEC3', Int8Array.from(all([127, 0, -127])), true),
        TANGENT: gltf.accessor('VEC3', all([-1, 0, 2])),
        TEXCOORD_1: gltf.accessor('VEC2', all([1, 2])),
      },
    ];
    gltf.json.meshes[0].weights = [0.5];
    const { scene } = await show(gltf);
    const [{ normals, tangents, uvs }] = scene.meshes[1].primitives;
    expect([...normals!.subarray(0, 3)]).toEqual([0.5, 0, 0.5]);
    expect([...tangents!.subarray(0, 4)]).toEqual([0.5, 0, 1, -1]);
    expect([...uvs!.subarray(0, 4)]).toEqual([0, 0, 1, 1.25]);
  });

  test('the shape comes before the skin', async () => {
    const gltf = morphed();
    const { attributes } = gltf.json.meshes[0].primitives[0];
    attributes.JOINTS_0 = gltf.accessor('VEC4', new Uint8Array(16));
    attributes.WEIGHTS_0 = gltf.accessor(
      'VEC4',
      Float32Array.from({ length: 16 }, (_, i) => +(i % 4 === 0)),
    );
    gltf.json.meshes[0].weights = [0.5, 0];
    // A quarter turn about z: 0.5 to the right becomes 0.5 up.
    const [sin, cos] = [Math.SQRT1_2, Math.SQRT1_2];
    gltf.json.nodes = [{ mesh: 0, skin: 0 }, { rotation: [0, 0, sin, cos] }];
    gltf.json.scenes[0].nodes = [0, 1];
    gltf.json.skins = [{ joints: [1] }];
    const { at } = await show(gltf);
    expect([at(0, 0.8), at(0, -0.2), at(0.8)]).toEqual([RED, BLACK, BLACK]);
  });

  test('weights that do not fit the targets are named', async () => {
    const gltf = morphed();
    gltf.json.nodes[0].weights = [1];
    await expect(show(gltf)).rejects.toThrow('nodes[0].weights: expected 2 finite numbers, got [1]');
    gltf.json.nodes[0].weights = [1, null];
    await expect(show(gltf)).rejects.toThrow('nodes[0].weights: expected 2 finite numbers');
    delete gltf.json.nodes[0].weights;
    gltf.json.meshes[0].weights = [1, 2, 3];
    await expect(show(gltf)).rejects.toThrow('meshes[0].weights: expected 2 finite numbers');
    delete gltf.json.meshes[0].weights;
    gltf.json.meshes[0].primitives.push({ ...gltf.json.meshes[0].primitives[0], targets: [{}] });
    await expect(show(gltf)).rejects.toThrow('meshes[0].primitives[1].targets: expected as many as');
  });
});

describe('EXT_mesh_gpu_instancing', () => {
  const placed = (gltf: SquareGltf) => ({
    attributes: { TRANSLATION: gltf.accessor('VEC3', Float32Array.of(-1, 0, 0, 1, 0, 0)) },
  });

  test('instances stand where they say, and the mesh itself is not there', async () => {
    const { at, warnings } = await show(squareWith('EXT_mesh_gpu_instancing', placed));
    expect([at(-1), at(0), at(1)]).toEqual([RED, BLACK, RED]);
    expect(warnings).toEqual([]);
  });

  test("the node's transform goes on top of translation x rotation x scale", async () => {
    const gltf = squareWith('EXT_mesh_gpu_instancing', (own) => ({
      attributes: {
        TRANSLATION: own.accessor('VEC3', Float32Array.of(1, 0, 0, -1, 0, 0)),
        // A quarter turn about z, as normalised shorts; the other stands as it is.
        ROTATION: own.accessor('VEC4', Int16Array.of(0, 0, 23170, 23170, 0, 0, 0, 32767), true),
        SCALE: own.accessor('VEC3', Float32Array.of(1.6, 0.4, 1, 1.6, 0.4, 1)),
        _ID: own.accessor('SCALAR', Uint8Array.of(1, 2)),
      },
    }));
    gltf.json.nodes[0].scale = [0.5, 2, 1];
    const { at } = await show(gltf);
    // The first: 1.6 x 0.4 turned to 0.4 x 1.6, then halved across and doubled upwards: 0.2 x 3.2 about (0.5, 0).
    expect([at(0.5, 1.1), at(0.35, 0)]).toEqual([RED, BLACK]);
    // The second: 0.8 x 0.8 about (-0.5, 0).
    expect([at(-0.15, 0.35), at(-0.5, 0.5)]).toEqual([RED, BLACK]);
  });

  test('mirrored instances keep their front, bytes do for rotations', async () => {
    const gltf = squareWith('EXT_mesh_gpu_instancing', (own) => ({
      attributes: {
        TRANSLATION: own.accessor('VEC3', Float32Array.of(-1, 0, 0, 1, 0, 0, 0, 0, 0)),
        SCALE: own.accessor('VEC3', Float32Array.of(-1, 1, 1, 1, 1, 1, 1, 1, 1)),
        // Half a turn about y: the third shows its back.
        ROTATION: own.accessor('VEC4', Int8Array.of(0, 0, 0, 127, 0, 0, 0, 127, 0, 127, 0, 0), true),
      },
    }));
    const { at } = await show(gltf, { backFaceCulling: true });
    expect([at(-1), at(1), at(0)]).toEqual([RED, RED, BLACK]);
  });

  test('instances move with their node, are hidden with it, and may be none', async () => {
    const gltf = squareWith('EXT_mesh_gpu_instancing', placed);
    gltf.json.nodes[0].name = 'trees';
    const { scene } = await show(gltf);
    const model = await SceneModel.load(device, scene, { decodeImage });
    model.pose(new Map([['trees', { translation: [1, 0, 0] }]]));
    expect(model.bounds).toEqual({ min: [-0.5, -0.5, 0], max: [2.5, 0.5, 0] });
    model.destroy();
    gltf.json.nodes[0].extensions.KHR_node_visibility = { visible: false };
    expect((await show(gltf)).red).toBe(0);
    const none = squareWith('EXT_mesh_gpu_instancing', (own) => ({
      attributes: { TRANSLATION: own.accessor('VEC3', new Float32Array()) },
    }));
    expect((await show(none)).red).toBe(0);
  });

  test('counts that differ and too many are named, a skin is said', async () => {
    const gltf = squareWith('EXT_mesh_gpu_instancing', (own) => ({
      attributes: {
        TRANSLATION: own.accessor('VEC3', new Float32Array(6)),
        SCALE: own.accessor('VEC3', new Float32Array(9)),
      },
    }));
    await expect(show(gltf)).rejects.toThrow(
      'EXT_mesh_gpu_instancing.attributes: expected accessors of one count',
    );
    const { attributes } = gltf.json.nodes[0].extensions.EXT_mesh_gpu_instancing;
    delete attributes.SCALE;
    delete gltf.json.accessors[attributes.TRANSLATION].bufferView;
    gltf.json.accessors[attributes.TRANSLATION].count = 1 << 18;
    await expect(show(gltf)).rejects.toThrow('expected at most 262144 nodes and instances in all');
    const skinned = squareWith('EXT_mesh_gpu_instancing', placed);
    const own = skinned.json.meshes[0].primitives[0].attributes;
    own.JOINTS_0 = skinned.accessor('VEC4', new Uint8Array(16));
    own.WEIGHTS_0 = skinned.accessor(
      'VEC4',
      Float32Array.from({ length: 16 }, (_, i) => +(i % 4 === 0)),
    );
    skinned.json.nodes[0].skin = 0;
    skinned.json.skins = [{ joints: [0] }];
    expect((await show(skinned)).warnings).toEqual([
      'a.glb: EXT_mesh_gpu_instancing does not apply to skinned meshes: each is drawn once (nodes #0)',
    ]);
  });
});

describe('how surfaces shine', () => {
  const dim: LightRig = {
    lights: [
      {
        type: 'directional',
        color: [1, 1, 1],
        intensity: 2.5,
        range: Infinity,
        innerCone: 0,
        outerCone: 0,
        position: [0, 0, 0],
        direction: [0, -0.6, -0.8],
        castsShadow: false,
      },
    ],
    sky: [0, 0, 0],
    ground: [0, 0, 0],
    exposure: 1,
  };

  /** Bytes of a surface that faces the camera at (0, 0, 3), in float64: glTF 2.0, appendix B. */
  function expected(diffuse: number[], f0: number[], roughness: number, f90 = 1): number[] {
    const [nl, nv] = [0.8, 1];
    const half = [0, 0.6, 1.8].map((value) => value / Math.hypot(0.6, 1.8));
    const [nh, hv] = [half[2], half[2]];
    const a2 = Math.max(roughness ** 2, 0.002) ** 2;
    const d = a2 / (Math.PI * (nh * nh * (a2 - 1) + 1) ** 2);
    const v = 0.5 / (nl * Math.sqrt(nv * nv * (1 - a2) + a2) + nv * Math.sqrt(nl * nl * (1 - a2) + a2));
    return diffuse.map((c, i) => {
      const fresnel = f0[i] + (f90 - f0[i]) * (1 - hv) ** 5;
      const light = 2.5 * nl * (((1 - fresnel) * c) / Math.PI + fresnel * d * v);
      const x = Math.min(1, light);
      return Math.round(255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055));
    });
  }

  async function middle(material: object, change: (gltf: SquareGltf) => void = () => {}): Promise<number[]> {
    const gltf = new SquareGltf();
    gltf.json.materials = [material];
    change(gltf);
    return (await show(gltf, { lights: dim })).at(0);
  }

  const old = (extension: object) => ({
    extensions: { KHR_materials_pbrSpecularGlossiness: extension },
    // The fallback, which is not to be seen.
    pbrMetallicRoughness: { baseColorFactor: [0, 1, 0, 1] },
  });

  test('specular-glossiness: factors', async () => {
    const matt = await middle(
      old({ diffuseFactor: [1, 0, 0, 1], specularFactor: [0, 0, 0], glossinessFactor: 0 }),
    );
    near(matt, expected([1, 0, 0], [0, 0, 0], 1));
    expect(matt.slice(1)).toEqual([0, 0]);
    const gold = old({
      diffuseFactor: [0.5, 0.25, 1, 1],
      specularFactor: [0.4, 0.3, 0.1],
      glossinessFactor: 0.35,
    });
    near(await middle(gold), expected([0.3, 0.15, 0.6], [0.4, 0.3, 0.1], 0.65));
    // Defaults: white, all of it specular, without roughness, and the light's mirror image is not at the camera.
    near(await middle(old({})), [0, 0, 0]);
  });

  test('specular-glossiness: its texture holds sRGB specular and linear glossiness', async () => {
    const linear = (byte: number) => {
      const x = byte / 255;
      return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    };
    const { PNG } = await import('pngjs');
    const png = new PNG({ width: 1, height: 1 });
    png.data = Buffer.from([200, 100, 50, 102]);
    const color = await middle(
      old({
        diffuseFactor: [1, 1, 1, 1],
        specularFactor: [0.5, 1, 1],
        glossinessFactor: 0.5,
        specularGlossinessTexture: { index: 0 },
      }),
      (gltf) => {
        gltf.json.images = [{ mimeType: 'image/png', bufferView: gltf.view(PNG.sync.write(png)) }];
        gltf.json.textures = [{ source: 0 }];
      },
    );
    const f0 = [0.5 * linear(200), linear(100), linear(50)];
    const rest = 1 - Math.max(...f0);
    near(color, expected([rest, rest, rest], f0, 1 - 0.5 * (102 / 255)));
  });

  test('unlit beside specular-glossiness shows the base colour', async () => {
    const { extensions, ...rest } = old({ diffuseFactor: [1, 0, 0, 1] });
    const both = { ...rest, extensions: { ...extensions, KHR_materials_unlit: {} } };
    expect(await middle(both)).toEqual([0, 255, 0]);
  });

  test('index of refraction and specular factors change what is no metal', async () => {
    const plain = { baseColorFactor: [0.2, 0.2, 0.2, 1], metallicFactor: 0, roughnessFactor: 0.5 };
    const with_ = (extensions: object) => middle({ pbrMetallicRoughness: plain, extensions });
    const grey = [0.2, 0.2, 0.2];
    near(await with_({}), expected(grey, [0.04, 0.04, 0.04], 0.5));
    const glass = (2.4 - 1) ** 2 / (2.4 + 1) ** 2;
    near(await with_({ KHR_materials_ior: { ior: 2.4 } }), expected(grey, [glass, glass, glass], 0.5));
    near(await with_({ KHR_materials_specular: { specularFactor: 0 } }), expected(grey, [0, 0, 0], 0.5, 0));
    const tinted = { specularFactor: 0.5, specularColorFactor: [2, 30, 0] };
    near(await with_({ KHR_materials_specular: tinted }), expected(grey, [0.04, 0.5, 0], 0.5, 0.5));
  });

  test('specular textures: the factor in linear alpha, the colour in sRGB, cut off at 1 once they are multiplied', async () => {
    const linear = (byte: number) => {
      const x = byte / 255;
      return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    };
    const { PNG } = await import('pngjs');
    const picture = (pixel: number[]) => {
      const png = new PNG({ width: 1, height: 1 });
      png.data = Buffer.from(pixel);
      return PNG.sync.write(png);
    };
    const plain = { baseColorFactor: [0.2, 0.2, 0.2, 1], metallicFactor: 0, roughnessFactor: 0.5 };
    const shown = (specular: object) =>
      middle({ pbrMetallicRoughness: plain, extensions: { KHR_materials_specular: specular } }, (gltf) => {
        // Of each, the channels that do not count hold something else.
        const views = [gltf.view(picture([9, 90, 200, 102])), gltf.view(picture([200, 100, 255, 7]))];
        gltf.json.images = views.map((bufferView) => ({ mimeType: 'image/png', bufferView }));
        gltf.json.textures = [{ source: 0 }, { source: 1 }];
      });
    const grey = [0.2, 0.2, 0.2];
    const [factor, color] = [{ specularTexture: { index: 0 } }, { specularColorTexture: { index: 1 } }];
    const quarter = 0.4 * 0.04;
    near(await shown(factor), expected(grey, [quarter, quarter, quarter], 0.5, 0.4));
    near(
      await shown({ ...factor, specularFactor: 0.5 }),
      expected(
        grey,
        grey.map(() => quarter / 2),
        0.5,
        0.2,
      ),
    );
    const tint = [linear(200), linear(100), 1].map((part) => 0.04 * part);
    near(await shown(color), expected(grey, tint, 0.5));
    const bright = { ...color, ...factor, specularColorFactor: [20, 30, 40] };
    const cut = [20 * tint[0], 30 * tint[1], 40 * tint[2]].map((value) => Math.min(1, value) * 0.4);
    near(await shown(bright), expected(grey, cut, 0.5, 0.4));
  });

  test('a primitive without a material is white metal, wholly rough, and flat without normals', async () => {
    const color = await middle({}, (gltf) => {
      delete gltf.json.meshes[0].primitives[0].material;
      // Without normals these count for nothing.
      gltf.json.meshes[0].primitives[0].attributes.TANGENT = gltf.accessor('VEC4', new Float32Array(16));
    });
    near(color, expected([0, 0, 0], [1, 1, 1], 1));
  });
});

describe('KHR_texture_basisu', () => {
  function textured(picture: Uint8Array): SquareGltf {
    const gltf = new SquareGltf();
    const { json } = gltf;
    const uvs = Float32Array.of(0, 1, 1, 1, 1, 0, 0, 0);
    json.meshes[0].primitives[0].attributes.TEXCOORD_0 = gltf.accessor('VEC2', uvs);
    json.materials[0].pbrMetallicRoughness = { baseColorTexture: { index: 0 } };
    json.samplers = [{ magFilter: 9728, minFilter: 9728 }];
    json.images = [{ mimeType: 'image/png', bufferView: gltf.view(fourPixels()) }];
    json.images.push({ mimeType: 'image/ktx2', bufferView: gltf.view(picture) });
    json.textures = [{ sampler: 0, source: 0, extensions: { KHR_texture_basisu: { source: 1 } } }];
    return gltf;
  }

  test.each(BASIS_KINDS)('%s, in place of its fallback and without one', async (kind) => {
    const gltf = textured(basisKtx2(kind));
    for (const alone of [false, true]) {
      if (alone) delete gltf.json.textures[0].source;
      const { at, scene, warnings } = await show(gltf);
      expect(scene.images[0]).toMatchObject({ mimeType: 'image/ktx2', width: 8, height: 8 });
      const corners = [at(-0.25, 0.25), at(0.25, 0.25), at(-0.25, -0.25), at(0.25, -0.25)];
      corners.forEach((color, i) => {
        color.forEach((value, c) => {
          expect(Math.abs(value - FOUR[i][c]), `${kind}: ${color}`).toBeLessThanOrEqual(4);
        });
      });
      expect(warnings).toEqual([]);
    }
  });

  test('a damaged picture is named, and what is wrong with it', async () => {
    await expect(show(textured(basisKtx2('uastc').subarray(0, 200)))).rejects.toThrow(
      'a.glb: picture "image 0": its level 0 ends past the 200 bytes of the file',
    );
    const gltf = textured(basisKtx2('uastc'));
    gltf.json.textures[0].extensions.KHR_texture_basisu.source = 7;
    await expect(show(gltf)).rejects.toThrow('textures[0].source: expected an index from 0 to 1, got 7');
  });
});

describe('what is not drawn is said', () => {
  const said = async (change: (json: SquareGltf['json'], gltf: SquareGltf) => void) => {
    const gltf = new SquareGltf();
    change(gltf.json, gltf);
    return (await show(gltf)).warnings;
  };

  test('extensions that change the look, by name, with a few of their materials', async () => {
    const glass = { KHR_materials_transmission: { transmissionFactor: 1 } };
    const warnings = await said((json) => {
      json.materials.push(
        ...['a', 'b\u001b[31m', 'c', 'd'].map((name) => ({ name, extensions: glass })),
        { extensions: { ...glass, KHR_materials_clearcoat: { clearcoatFactor: 0 } } },
        { name: 'unused', extensions: { KHR_materials_sheen: { sheenColorFactor: [1, 0, 0] } } },
      );
      const [primitive] = json.meshes[0].primitives;
      for (let material = 1; material <= 5; material++)
        json.meshes[0].primitives.push({ ...primitive, material });
    });
    expect(warnings).toEqual([
      'a.glb: KHR_materials_transmission is not drawn (materials "a", "b\\u001b[31m", "c" and 2 more)',
    ]);
  });

  test.each([
    'KHR_materials_anisotropy anisotropyStrength',
    'KHR_materials_clearcoat clearcoatFactor',
    'KHR_materials_diffuse_transmission diffuseTransmissionFactor',
    'KHR_materials_dispersion dispersion',
    'KHR_materials_iridescence iridescenceFactor',
    'KHR_materials_sheen sheenColorFactor',
    'KHR_materials_volume thicknessFactor',
    'ADOBE_materials_thin_transparency transmissionFactor',
  ])('%s', async (text) => {
    const [name, field] = text.split(' ');
    const value = field === 'sheenColorFactor' ? [0, 0, 0.5] : 0.5;
    expect(
      await said((json) => Object.assign(json.materials[0].extensions, { [name]: { [field]: value } })),
    ).toEqual([`a.glb: ${name} is not drawn (materials #0)`]);
  });

  test('extensions of nodes, meshes, the scene and the file', async () => {
    const warnings = await said((json) => {
      json.nodes[0].name = 'bush';
      json.nodes[0].extensions = { MSFT_lod: { ids: [] }, EXT_structural_metadata: {} };
      json.meshes[0].primitives[0].extensions = { KHR_materials_variants: { mappings: [] } };
      json.extensions = { EXT_lights_image_based: { lights: [] }, KHR_xmp_json_ld: {} };
      json.scenes[0].extensions = { EXT_lights_image_based: { light: 0 } };
      json.extras = { extensions: { NOT_an_extension: {} } };
    });
    expect(warnings).toEqual([
      'a.glb: EXT_lights_image_based is not drawn (scenes #0)',
      'a.glb: MSFT_lod is not drawn (nodes "bush")',
      'a.glb: KHR_materials_variants is not drawn (meshes #0)',
    ]);
  });

  test('points, lines, animations, other scenes, odd alpha modes and samplers, textures without a picture', async () => {
    const warnings = await said((json) => {
      const [primitive] = json.meshes[0].primitives;
      json.meshes.push({ name: 'wires', primitives: [{ ...primitive, mode: 1 }] });
      json.meshes.push({ primitives: [{ ...primitive, mode: 0 }] });
      json.animations = [
        {
          name: 'walk',
          channels: [{ target: { path: 'pointer', extensions: { KHR_animation_pointer: {} } } }],
        },
      ];
      json.scenes.push({ nodes: [] });
      json.materials[0].alphaMode = 'DITHER';
      json.samplers = [{ wrapS: 5 }];
      json.textures = [{ sampler: 0 }, { extensions: { EXT_texture_avif: { source: 0 } } }];
    });
    expect(warnings).toEqual([
      'a.glb: KHR_animation_pointer is not drawn (animations "walk")',
      'a.glb: EXT_texture_avif is not drawn (textures #1)',
      'a.glb: points and lines are not drawn (meshes "wires", #2)',
      'a.glb: an alphaMode that is none of OPAQUE, MASK and BLEND is drawn as OPAQUE (materials #0)',
      'a.glb: textures without a picture are drawn white (textures #0)',
      'a.glb: a wrap or filter that glTF does not have is drawn as the usual one (samplers #0)',
      'a.glb: animations are not played, everything stands still (animations "walk")',
      'a.glb: has 2 scenes, scene #0 alone is drawn',
    ]);
  });

  test('a texture whose picture we cannot read is left out wherever a material has it', async () => {
    const gltf = new SquareGltf();
    const { json } = gltf;
    json.textures = [{ extensions: { EXT_texture_avif: { source: 0 } } }];
    const use = { index: 0 };
    json.materials[0].pbrMetallicRoughness.baseColorTexture = use;
    json.materials[0].normalTexture = use;
    json.materials[0].extensions.KHR_materials_specular = { specularTexture: use };
    const { at, warnings } = await show(gltf);
    expect(at(0)).toEqual(RED);
    expect(warnings).toEqual(['a.glb: EXT_texture_avif is not drawn (textures #0)']);
  });

  test('what a file requires and we do not have is an error, also where it would only be plainer', async () => {
    const gltf = new SquareGltf();
    gltf.json.extensionsRequired = [
      'KHR_materials_unlit',
      'KHR_materials_clearcoat',
      'KHR_gaussian_splatting',
    ];
    const error = await show(gltf).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InvalidFileError);
    expect((error as Error).message).toBe(
      'a.glb: extensionsRequired: needs KHR_materials_clearcoat, KHR_gaussian_splatting, which is not supported; export it without',
    );
    gltf.json.extensionsRequired = ['KHR_materials_pbrSpecularGlossiness', 'EXT_mesh_gpu_instancing'];
    expect((await show(gltf)).at(0)).toEqual(RED);
  });

  test('extensions count though the file does not list them as used', async () => {
    const { at } = await show(new SquareGltf(), {
      lights: { lights: [], sky: BLACK, ground: BLACK, exposure: 1 },
    });
    expect(at(0)).toEqual(RED);
  });
});
