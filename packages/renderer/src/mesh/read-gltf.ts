/**
 * glTF and GLB files as a `Scene`. The container and every reference are checked first (`validate.ts`), then
 * glTF-Transform decodes accessors, compression and materials. The node tree is taken from the JSON itself:
 * glTF-Transform splits a node's matrix into translation, rotation and scale, which loses shear.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import {
  type Accessor,
  type Document,
  type Material as GltfMaterial,
  type Primitive as GltfPrimitive,
  ImageUtils,
  Logger,
  type Texture,
  type TextureInfo,
  WebIO,
} from '@gltf-transform/core';
import {
  type EmissiveStrength,
  EXTMeshoptCompression,
  EXTTextureWebP,
  KHRDracoMeshCompression,
  KHRLightsPunctual,
  KHRMaterialsEmissiveStrength,
  KHRMaterialsUnlit,
  KHRMeshQuantization,
  KHRTextureTransform,
  type Light,
  type Transform,
} from '@gltf-transform/extensions';
import { identity, transpose } from '../scene/matrix.ts';
import type {
  EncodedImage,
  Material,
  Primitive,
  PunctualLight,
  Scene,
  SceneNode,
  Skin,
  TextureUse,
  Wrap,
} from '../scene/scene.ts';
import { decodeDataUri, openContainer } from './container.ts';
import { checkDraco } from './draco.ts';
import { triangleList } from './triangles.ts';
import { Fields, LIMITS, type Resources, validateGltf } from './validate.ts';

export interface ReadGltfOptions {
  /** File name, for messages and errors. */
  readonly name: string;
  /** Bytes of the files a .gltf points to. Absent ones are errors. */
  readonly readUri?: (uri: string) => Promise<Uint8Array>;
  /** Which scene to draw: index or name; the file's default one otherwise. */
  readonly scene?: number | string;
  /** Draco's decoder module, where `import('draco3dgltf')` does not work (browser bundles). */
  readonly dracoDecoder?: () => Promise<unknown>;
}

/** glTF-Transform's own key for the binary chunk of a GLB. */
const BINARY = '@glb.bin';

const EXTENSIONS = [
  EXTMeshoptCompression,
  EXTTextureWebP,
  KHRDracoMeshCompression,
  KHRLightsPunctual,
  KHRMaterialsEmissiveStrength,
  KHRMaterialsUnlit,
  KHRMeshQuantization,
  KHRTextureTransform,
];
/** Change the look only: without them the picture is plainer, not wrong. */
const DROPPED = /^(KHR_materials_(?!unlit|emissive_strength)|KHR_xmp|KHR_node_visibility)/;

/**
 * @param bytes a .glb or .gltf file.
 * @throws InvalidFileError in one line for anything damaged, beyond `LIMITS`, or that needs an extension that is
 * not supported (supported: Draco, meshopt, quantization, texture transform, WebP, lights, unlit, emissive strength).
 */
export async function readGltf(bytes: Uint8Array, options: ReadGltfOptions): Promise<Scene> {
  const file = options.name;
  const { json, binary } = openContainer(bytes, file);
  const root = new Fields(json, file, '');
  const version = root.object('asset')?.string('version');
  if (version !== '2.0') root.fail('asset.version', 'expected "2.0"; export the file as glTF 2.0', version);

  const required = root.list('extensionsRequired').filter((name) => !DROPPED.test(String(name)));
  const known = EXTENSIONS.map(({ EXTENSION_NAME }) => EXTENSION_NAME as string);
  const missing = required.filter((name) => !known.includes(String(name)));
  if (missing.length > 0) {
    throw new InvalidFileError(
      file,
      `needs ${missing.join(', ')}, which is not supported; export it without`,
    );
  }

  const resources = await readResources(root, binary, options);
  validateGltf(root, resources, BINARY);
  checkDraco(root, resources, BINARY);
  const document = await decode(json, required, resources, options);
  try {
    return buildScene(root, document, options);
  } catch (error) {
    throw damaged(file, error);
  }
}

function damaged(file: string, error: unknown): Error {
  if (error instanceof InvalidFileError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new InvalidFileError(
    file,
    `cannot be decoded (${message.split('\n')[0]}); the file is damaged, export it again`,
  );
}

async function readResources(
  root: Fields,
  binary: Uint8Array<ArrayBuffer> | undefined,
  { name, readUri }: ReadGltfOptions,
): Promise<Resources> {
  const resources: Resources = Object.create(null);
  if (binary) resources[BINARY] = binary;
  for (const holder of [...root.objects('buffers'), ...root.objects('images')]) {
    if (!holder.has('uri')) continue;
    const uri = holder.string('uri');
    if (uri in resources) continue;
    const inline = decodeDataUri(uri, name, holder.path);
    if (inline) resources[uri] = inline;
    else if (readUri) resources[uri] = new Uint8Array(await readUri(uri));
  }
  return resources;
}

async function decode(
  json: object,
  extensionsRequired: unknown[],
  resources: Resources,
  { name, dracoDecoder = importDraco }: ReadGltfOptions,
): Promise<Document> {
  const used = (json as { extensionsUsed?: unknown[] }).extensionsUsed;
  const uses = (extension: string) => Array.isArray(used) && used.includes(extension);
  try {
    const dependencies: Record<string, unknown> = {};
    // A module of its own for every file: one that ran out of memory on a damaged file is of no more use.
    if (uses('KHR_draco_mesh_compression')) dependencies['draco3d.decoder'] = await dracoDecoder();
    if (uses('EXT_meshopt_compression')) {
      const { MeshoptDecoder } = await import('meshoptimizer/decoder');
      await MeshoptDecoder.ready;
      dependencies['meshopt.decoder'] = MeshoptDecoder;
    }
    const io = new WebIO()
      .setLogger(new Logger(Logger.Verbosity.SILENT))
      .registerExtensions(EXTENSIONS)
      .registerDependencies(dependencies);
    // Animations and cameras are not drawn, and an odd one must not make a scene unreadable.
    const drawn = { ...json, animations: [], cameras: [], extensionsRequired } as never;
    return await io.readJSON({ json: withoutCameras(drawn), resources });
  } catch (error) {
    throw damaged(name, error);
  }
}

function withoutCameras<T extends object>(json: T): T {
  const { nodes } = json as { nodes?: object[] };
  return { ...json, nodes: (nodes ?? []).map((node) => ({ ...node, camera: undefined })) };
}

async function importDraco(): Promise<unknown> {
  const { default: draco } = await import('draco3dgltf');
  return draco.createDecoderModule();
}

function buildScene(json: Fields, document: Document, { name: file, scene: wanted }: ReadGltfOptions): Scene {
  const root = document.getRoot();
  const images = new ImageList(file);
  const materials = root.listMaterials().map((material) => readMaterial(material, images));
  const accessors = new AccessorReader(file, root.listAccessors());

  const allMaterials = root.listMaterials();
  const meshes = root.listMeshes().map((mesh, m) => ({
    name: mesh.getName(),
    primitives: mesh.listPrimitives().map((primitive, p) => {
      const material = primitive.getMaterial();
      return readPrimitive(accessors, primitive, material ? allMaterials.indexOf(material) : -1, {
        file,
        where: `meshes[${m}].primitives[${p}]`,
      });
    }),
  }));

  const lights: PunctualLight[] = [];
  const nodes = readNodes(
    json,
    root.listNodes().map((node) => {
      const light = node.getExtension<Light>('KHR_lights_punctual');
      return light ? lights.push(readLight(light, file)) - 1 : -1;
    }),
  );
  const skins = readSkins(json, accessors);
  checkSkinned(nodes, meshes, skins, file);
  checkSize(nodes, meshes, file);
  return {
    name: file,
    nodes,
    roots: readRoots(json, wanted, nodes),
    meshes,
    materials,
    images: images.list,
    skins,
    lights,
  };
}

function readRoots(json: Fields, wanted: number | string | undefined, nodes: readonly SceneNode[]): number[] {
  const scenes = json.objects('scenes');
  let chosen = json.has('scene') ? json.integer('scene') : 0;
  if (typeof wanted === 'number') chosen = wanted;
  if (typeof wanted === 'string') chosen = scenes.findIndex((scene) => scene.string('name') === wanted);
  const scene = scenes[chosen];
  if (scene) return scene.list('nodes') as number[];
  if (wanted !== undefined) {
    json.fail('scenes', `expected the scene ${JSON.stringify(wanted)} among ${scenes.length}`, undefined);
  }
  return nodes.flatMap(({ parent }, index) => (parent < 0 ? [index] : []));
}

function readNodes(json: Fields, lights: readonly number[]): SceneNode[] {
  const nodes = json.objects('nodes');
  const parents = new Int32Array(nodes.length).fill(-1);
  nodes.forEach((node, index) => {
    for (const child of node.list('children')) parents[child as number] = index;
  });
  return nodes.map((node, index) => ({
    name: node.string('name'),
    parent: parents[index],
    translation: node.numbers('translation', 3, [0, 0, 0]),
    rotation: node.numbers('rotation', 4, [0, 0, 0, 1]),
    scale: node.numbers('scale', 3, [1, 1, 1]),
    matrix: node.has('matrix') ? transpose(node.numbers('matrix', 16)) : undefined,
    mesh: node.has('mesh') ? node.integer('mesh') : -1,
    skin: node.has('skin') ? node.integer('skin') : -1,
    light: lights[index],
  }));
}

/** Decoded accessors, each turned into numbers once however often it is used. */
class AccessorReader {
  readonly #file: string;
  readonly #all: Accessor[];
  readonly #floats = new Map<Accessor, Float32Array>();

  constructor(file: string, all: Accessor[]) {
    this.#file = file;
    this.#all = all;
  }

  at(index: number): Accessor {
    return this.#all[index];
  }

  /** Float values, normalised integers scaled to their range. @throws InvalidFileError for NaN and infinities. */
  floats(accessor: Accessor, width: number, where: string): Float32Array {
    this.#checkWidth(accessor, [width], where);
    let values = this.#floats.get(accessor);
    if (values) return values;
    const array = accessor.getArray();
    if (array instanceof Float32Array) values = array;
    else {
      const limit = accessor.getNormalized() ? 2 ** (8 * (array?.BYTES_PER_ELEMENT ?? 1)) : 0;
      const signed = array instanceof Int8Array || array instanceof Int16Array;
      const scale = limit === 0 ? 1 : 1 / ((signed ? limit / 2 : limit) - 1);
      values = Float32Array.from(array ?? [], (value) =>
        signed && limit ? Math.max(-1, value * scale) : value * scale,
      );
    }
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new InvalidFileError(
        this.#file,
        `${where}: entry ${Math.floor(bad / width)} is ${values[bad]}, expected finite numbers`,
      );
    }
    this.#floats.set(accessor, values);
    return values;
  }

  integers(accessor: Accessor, width: number, where: string): ArrayLike<number> {
    this.#checkWidth(accessor, [width], where);
    const array = accessor.getArray();
    if (!array || array instanceof Float32Array || array instanceof Float64Array) {
      throw new InvalidFileError(this.#file, `${where}: expected whole numbers, got floats`);
    }
    return array;
  }

  #checkWidth(accessor: Accessor, widths: number[], where: string): void {
    const array = accessor.getArray();
    const width = accessor.getElementSize();
    // A Draco stream may hold another number of components than its accessor says.
    if (!widths.includes(width) || !array || array.length !== accessor.getCount() * width) {
      throw new InvalidFileError(
        this.#file,
        `${where}: expected ${widths.join(' or ')} numbers an entry, got ${accessor.getType()}`,
      );
    }
  }
}

function readPrimitive(
  accessors: AccessorReader,
  primitive: GltfPrimitive,
  material: number,
  { file, where }: { file: string; where: string },
): Primitive {
  const fail = (problem: string): never => {
    throw new InvalidFileError(file, `${where}${problem}`);
  };
  const floats = (semantic: string, width: number) => {
    const accessor = primitive.getAttribute(semantic);
    if (!accessor) return undefined;
    const values = accessors.floats(accessor, width, `${where}.${semantic}`);
    if (values.length !== vertices * width) {
      fail(`.${semantic}: has ${values.length / width} entries, POSITION has ${vertices}`);
    }
    return values;
  };
  const position = primitive.getAttribute('POSITION');
  // The specification has such primitives drawn by extensions only.
  if (!position) return emptyPrimitive(material);
  const positions = accessors.floats(position, 3, `${where}.POSITION`);
  const vertices = positions.length / 3;

  const indexAccessor = primitive.getIndices();
  const corners = indexAccessor ? accessors.integers(indexAccessor, 1, `${where}.indices`) : undefined;
  const indices = triangleList(primitive.getMode(), corners, vertices);
  const wrong = indices.findIndex((index) => index >= vertices);
  if (wrong >= 0) fail(`.indices: refer to vertex ${indices[wrong]}, there are ${vertices}`);

  const color = primitive.getAttribute('COLOR_0');
  const uvs = [floats('TEXCOORD_0', 2), floats('TEXCOORD_1', 2)];
  return {
    positions,
    normals: floats('NORMAL', 3),
    tangents: floats('TANGENT', 4),
    uvs: uvs[0] || uvs[1] ? pairs(uvs, vertices) : undefined,
    colors: color ? withAlpha(floats('COLOR_0', color.getElementSize() === 4 ? 4 : 3)!, vertices) : undefined,
    ...readInfluences(accessors, primitive, vertices, where, floats, fail),
    indices,
    material,
  };
}

function emptyPrimitive(material: number): Primitive {
  return { positions: new Float32Array(), influences: 0, indices: new Uint32Array(), material };
}

/** All sets of JOINTS_n and WEIGHTS_n side by side. */
function readInfluences(
  accessors: AccessorReader,
  primitive: GltfPrimitive,
  vertices: number,
  where: string,
  floats: (semantic: string, width: number) => Float32Array | undefined,
  fail: (problem: string) => never,
): Pick<Primitive, 'joints' | 'weights' | 'influences'> {
  let sets = 0;
  while (primitive.getAttribute(`JOINTS_${sets}`)) sets++;
  if (sets === 0) return { influences: 0 };
  const influences = 4 * sets;
  const joints = new Uint32Array(vertices * influences);
  const weights = new Float32Array(vertices * influences);
  for (let set = 0; set < sets; set++) {
    const at = accessors.integers(primitive.getAttribute(`JOINTS_${set}`)!, 4, `${where}.JOINTS_${set}`);
    const by = floats(`WEIGHTS_${set}`, 4) ?? fail(`.WEIGHTS_${set}: missing beside JOINTS_${set}`);
    if (at.length !== vertices * 4)
      fail(`.JOINTS_${set}: has ${at.length / 4} entries, POSITION has ${vertices}`);
    for (let i = 0; i < at.length; i++) {
      const out = Math.floor(i / 4) * influences + set * 4 + (i % 4);
      joints[out] = at[i];
      weights[out] = by[i];
    }
  }
  return { joints, weights, influences };
}

function pairs([first, second]: (Float32Array | undefined)[], vertices: number): Float32Array {
  const out = new Float32Array(vertices * 4);
  for (let v = 0; v < vertices; v++) {
    if (first) out.set(first.subarray(v * 2, v * 2 + 2), v * 4);
    if (second) out.set(second.subarray(v * 2, v * 2 + 2), v * 4 + 2);
  }
  return out;
}

function withAlpha(colors: Float32Array, vertices: number): Float32Array {
  if (colors.length === vertices * 4) return colors;
  const out = new Float32Array(vertices * 4).fill(1);
  for (let v = 0; v < vertices; v++) out.set(colors.subarray(v * 3, v * 3 + 3), v * 4);
  return out;
}

function readSkins(json: Fields, accessors: AccessorReader): Skin[] {
  return json.objects('skins').map((skin) => {
    const joints = skin.list('joints') as number[];
    if (!skin.has('inverseBindMatrices')) return { joints, inverseBind: joints.map(identity) };
    const accessor = accessors.at(skin.integer('inverseBindMatrices'));
    const values = accessors.floats(accessor, 16, `${skin.path}.inverseBindMatrices`);
    if (values.length < joints.length * 16) {
      skin.fail('inverseBindMatrices', `expected ${joints.length} matrices, one a joint`, values.length / 16);
    }
    return { joints, inverseBind: joints.map((_, j) => transpose(values.subarray(j * 16, j * 16 + 16))) };
  });
}

function checkSkinned(
  nodes: readonly SceneNode[],
  meshes: Scene['meshes'],
  skins: readonly Skin[],
  file: string,
): void {
  nodes.forEach(({ mesh, skin }, index) => {
    if (mesh < 0 || skin < 0) return;
    const count = skins[skin].joints.length;
    for (const { joints, influences } of meshes[mesh].primitives) {
      const wrong = joints?.find((joint) => joint >= count);
      const problem =
        wrong === undefined ? (influences === 0 ? 'lacks JOINTS_0' : '') : `uses joint ${wrong} of ${count}`;
      if (problem && meshes[mesh].primitives.length > 0) {
        throw new InvalidFileError(
          file,
          `nodes[${index}] has skins[${skin}], but meshes[${mesh}] ${problem}`,
        );
      }
    }
  });
}

function checkSize(nodes: readonly SceneNode[], meshes: Scene['meshes'], file: string): void {
  const sizes = meshes.map(({ primitives }) =>
    primitives.reduce((sum, { indices }) => sum + indices.length, 0),
  );
  const drawn = nodes.reduce((sum, { mesh }) => sum + (mesh < 0 ? 0 : sizes[mesh]), 0);
  if (drawn > LIMITS.drawnIndices) {
    throw new InvalidFileError(
      file,
      `places ${Math.round(drawn / 3)} triangles, expected at most ${Math.floor(LIMITS.drawnIndices / 3)}; simplify the meshes`,
    );
  }
}

function readLight(light: Light, file: string): PunctualLight {
  const type = light.getType();
  const numbers = [
    ...light.getColor(),
    light.getIntensity(),
    light.getInnerConeAngle(),
    light.getOuterConeAngle(),
  ];
  if (!['directional', 'point', 'spot'].includes(type) || !numbers.every(Number.isFinite)) {
    throw new InvalidFileError(
      file,
      `KHR_lights_punctual: light "${light.getName()}" has a wrong type or number`,
    );
  }
  return {
    type: type as PunctualLight['type'],
    color: light.getColor(),
    intensity: light.getIntensity(),
    range: light.getRange() || Infinity,
    innerCone: light.getInnerConeAngle(),
    outerCone: light.getOuterConeAngle(),
  };
}

/** The pictures that materials use, their headers read so that a bomb is refused before it is decoded. */
class ImageList {
  readonly list: EncodedImage[] = [];
  readonly #file: string;
  readonly #indices = new Map<Texture, number>();
  #pixels = 0;

  constructor(file: string) {
    this.#file = file;
  }

  indexOf(texture: Texture): number {
    let index = this.#indices.get(texture);
    if (index === undefined) {
      index = this.list.push(this.#read(texture)) - 1;
      this.#indices.set(texture, index);
    }
    return index;
  }

  fail(texture: Texture, problem: string): never {
    throw new InvalidFileError(this.#file, `picture "${this.#nameOf(texture)}": ${problem}`);
  }

  #nameOf(texture: Texture): string {
    return texture.getName() || texture.getURI() || `image ${this.list.length}`;
  }

  #read(texture: Texture): EncodedImage {
    const fail = (problem: string) => this.fail(texture, problem);
    const bytes = texture.getImage();
    const mimeType = bytes && sniff(bytes);
    if (!mimeType) return fail('expected PNG, JPEG or WebP');
    let size: readonly number[] | null = null;
    try {
      size = ImageUtils.getSize(bytes, mimeType);
    } catch {
      // A header that ends early; told below.
    }
    const [width, height] = size ?? [0, 0];
    if (!(width > 0 && height > 0)) return fail('has no readable size; the file is damaged');
    this.#pixels += width * height;
    if (width > LIMITS.imageSide || height > LIMITS.imageSide) {
      fail(`${width}x${height}, expected at most ${LIMITS.imageSide} a side; scale it down`);
    }
    if (this.#pixels > LIMITS.imagePixels) {
      fail(`all pictures together have more than ${LIMITS.imagePixels} pixels; scale them down`);
    }
    return { name: `${this.#file}: ${this.#nameOf(texture)}`, bytes, mimeType, width, height };
  }
}

function sniff(bytes: Uint8Array): string | undefined {
  const ascii = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  if (ascii(1, 4) === 'PNG') return 'image/png';
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return 'image/jpeg';
  return ascii(0, 4) === 'RIFF' && ascii(8, 12) === 'WEBP' ? 'image/webp' : undefined;
}

const WRAPS: Record<number, Wrap> = { 10497: 'repeat', 33071: 'clamp-to-edge', 33648: 'mirror-repeat' };

function readMaterial(material: GltfMaterial, images: ImageList): Material {
  const use = (texture: Texture | null, info: TextureInfo | null) =>
    texture && info ? readTextureUse(texture, info, images) : undefined;
  const strength =
    material.getExtension<EmissiveStrength>('KHR_materials_emissive_strength')?.getEmissiveStrength() ?? 1;
  const alphaMode = material.getAlphaMode().toLowerCase();
  return {
    name: material.getName(),
    baseColor: material.getBaseColorFactor(),
    emissive: material.getEmissiveFactor().map((value) => value * finite(strength, 1)),
    metallic: finite(material.getMetallicFactor(), 1),
    roughness: finite(material.getRoughnessFactor(), 1),
    normalScale: finite(material.getNormalScale(), 1),
    occlusionStrength: finite(material.getOcclusionStrength(), 1),
    alphaMode: alphaMode === 'mask' || alphaMode === 'blend' ? alphaMode : 'opaque',
    alphaCutoff: finite(material.getAlphaCutoff(), 0.5),
    doubleSided: material.getDoubleSided(),
    unlit: material.getExtension('KHR_materials_unlit') !== null,
    baseColorTexture: use(material.getBaseColorTexture(), material.getBaseColorTextureInfo()),
    metallicRoughnessTexture: use(
      material.getMetallicRoughnessTexture(),
      material.getMetallicRoughnessTextureInfo(),
    ),
    normalTexture: use(material.getNormalTexture(), material.getNormalTextureInfo()),
    occlusionTexture: use(material.getOcclusionTexture(), material.getOcclusionTextureInfo()),
    emissiveTexture: use(material.getEmissiveTexture(), material.getEmissiveTextureInfo()),
  };
}

/** JSON has no NaN, but a text or a list may stand where a number should. */
function finite(value: number, fallback: number): number {
  return Number.isFinite(value) ? value : fallback;
}

function readTextureUse(texture: Texture, info: TextureInfo, images: ImageList): TextureUse {
  const change = info.getExtension<Transform>('KHR_texture_transform');
  const [tx, ty] = change?.getOffset() ?? [0, 0];
  const [sx, sy] = change?.getScale() ?? [1, 1];
  const angle = change?.getRotation() ?? 0;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const minFilter = info.getMinFilter() ?? 9987;
  const uvSet = change?.getTexCoord() ?? info.getTexCoord();
  if (uvSet > 1) images.fail(texture, `is read with TEXCOORD_${uvSet}, expected 0 or 1; merge the sets`);
  return {
    image: images.indexOf(texture),
    uvSet: uvSet === 1 ? 1 : 0,
    wrapU: WRAPS[info.getWrapS()] ?? 'repeat',
    wrapV: WRAPS[info.getWrapT()] ?? 'repeat',
    magFilter: info.getMagFilter() === 9728 ? 'nearest' : 'linear',
    minFilter: minFilter === 9728 || minFilter === 9984 || minFilter === 9986 ? 'nearest' : 'linear',
    mipFilter:
      minFilter === 9728 || minFilter === 9729 ? undefined : minFilter <= 9985 ? 'nearest' : 'linear',
    // KHR_texture_transform: translation x rotation x scale, the angle counter-clockwise with v down.
    transform: [cos * sx, sin * sy, tx, -sin * sx, cos * sy, ty],
  };
}
