/**
 * Checks a glTF's JSON before anything is decoded: references, ranges, counts against the bytes that are there,
 * the node tree. A file that passes may still look odd, but it can neither hang us nor ask for more memory
 * than its size and `LIMITS` justify.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { Json } from './container.ts';

/** Upper bounds of one file; larger scenes are better cut into several. */
export const LIMITS = {
  nodes: 1 << 18,
  /** Numbers in all accessors together. */
  numbers: 1 << 27,
  /** Indices of all drawn nodes together: a mesh counts as often as it is placed. */
  drawnIndices: 1 << 27,
  imageSide: 8192,
  /** Of all images together. */
  imagePixels: 1 << 27,
} as const;

const COMPONENT_BYTES: Record<number, number> = { 5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4 };
const WIDTHS: Record<string, number> = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4, MAT2: 4, MAT3: 9, MAT4: 16 };

export type Resources = Record<string, Uint8Array<ArrayBuffer>>;

/** Reads fields of untrusted JSON, and says where it is when they are wrong. */
export class Fields {
  readonly #json: Json;
  readonly #file: string;
  readonly path: string;

  constructor(json: unknown, file: string, path: string) {
    this.#file = file;
    this.path = path;
    if (json === null || typeof json !== 'object' || Array.isArray(json))
      this.fail('', 'expected an object', json);
    this.#json = json as Json;
  }

  fail(field: string, expected: string, actual: unknown): never {
    const where = [this.path, field].filter(Boolean).join('.');
    const shown = actual === undefined ? 'nothing' : JSON.stringify(actual)?.slice(0, 60);
    throw new InvalidFileError(this.#file, `${where}: ${expected}, got ${shown}`, { field: where });
  }

  #value(field: string, fallback: unknown): unknown {
    return this.has(field) ? this.#json[field] : fallback;
  }

  has(field: string): boolean {
    return this.#json[field] !== undefined;
  }

  object(field: string): Fields | undefined {
    const value = this.#json[field];
    return value === undefined
      ? undefined
      : new Fields(value, this.#file, [this.path, field].filter(Boolean).join('.'));
  }

  required(field: string): Fields {
    return this.object(field) ?? this.fail(field, 'expected an object', undefined);
  }

  list(field: string): unknown[] {
    const value = this.#value(field, []);
    return Array.isArray(value) ? value : this.fail(field, 'expected a list', value);
  }

  objects(field: string): Fields[] {
    const prefix = [this.path, field].filter(Boolean).join('.');
    return this.list(field).map((entry, i) => new Fields(entry, this.#file, `${prefix}[${i}]`));
  }

  /** One of the object's extensions. */
  extension(name: string): Fields | undefined {
    return this.object('extensions')?.object(name);
  }

  keys(): string[] {
    return Object.keys(this.#json);
  }

  boolean(field: string, fallback: boolean): boolean {
    const value = this.#value(field, fallback);
    return typeof value === 'boolean' ? value : this.fail(field, 'expected true or false', value);
  }

  number(field: string, fallback: number): number {
    const value = this.#value(field, fallback);
    return Number.isFinite(value) ? (value as number) : this.fail(field, 'expected a number', value);
  }

  string(field: string, fallback = ''): string {
    const value = this.#value(field, fallback);
    return typeof value === 'string' ? value : this.fail(field, 'expected a text', value);
  }

  /** A whole number in [min, max]. */
  integer(field: string, fallback?: number, min = 0, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#value(field, fallback);
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      const limit = max < Number.MAX_SAFE_INTEGER ? `from ${min} to ${max}` : `of at least ${min}`;
      this.fail(field, `expected a whole number ${limit}`, value);
    }
    return value as number;
  }

  /** An index into a list of `count`, or -1 when there is none. */
  index(field: string, count: number): number {
    return this.has(field) ? this.reference(this.#json[field], count, field) : -1;
  }

  reference(value: unknown, count: number, field: string): number {
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= count) {
      this.fail(
        field,
        count > 0 ? `expected an index from 0 to ${count - 1}` : 'there is nothing to refer to',
        value,
      );
    }
    return value as number;
  }

  numbers(field: string, length: number, fallback?: readonly number[]): readonly number[] {
    const value = this.#value(field, fallback);
    if (!Array.isArray(value) || value.length !== length || !value.every(Number.isFinite)) {
      this.fail(field, `expected ${length} finite numbers`, value);
    }
    return value as number[];
  }
}

/** @throws InvalidFileError naming the first field that is wrong. */
export function validateGltf(root: Fields, resources: Resources, binaryUri: string): void {
  const count = (field: string) => root.list(field).length;

  const buffers = root.objects('buffers').map((buffer, i) => {
    const length = buffer.integer('byteLength', undefined, 0);
    const uri = buffer.has('uri') ? buffer.string('uri') : i === 0 ? binaryUri : '';
    const isFallback = buffer.extension('EXT_meshopt_compression') !== undefined;
    const bytes = resources[uri];
    if (!bytes && isFallback) return length;
    if (!bytes) buffer.fail('uri', 'its bytes are missing: keep the .bin beside the .gltf', uri || undefined);
    if (length > bytes.length)
      buffer.fail('byteLength', `expected at most the ${bytes.length} bytes there are`, length);
    return length;
  });

  let decodedBytes = 0;
  const views = root.objects('bufferViews').map((view) => {
    const length = view.integer('byteLength', undefined, 0);
    const offset = view.integer('byteOffset', 0);
    const total = buffers[view.reference(view.integer('buffer'), buffers.length, 'buffer')];
    if (offset + length > total)
      view.fail('byteLength', `expected to end within the ${total} bytes of its buffer`, offset + length);
    const stride = view.integer('byteStride', 0, 0, 252);
    const packed = view.extension('EXT_meshopt_compression');
    if (!packed) return { length, stride, compressed: false };
    const source = buffers[packed.reference(packed.integer('buffer'), buffers.length, 'buffer')];
    const end = packed.integer('byteOffset', 0) + packed.integer('byteLength');
    if (end > source)
      packed.fail('byteLength', `expected to end within the ${source} bytes of its buffer`, end);
    const unpacked = packed.integer('count') * packed.integer('byteStride', undefined, 1, 256);
    decodedBytes += unpacked;
    if (decodedBytes > LIMITS.numbers) {
      packed.fail('count', `compressed data may unpack to at most ${LIMITS.numbers} bytes`, decodedBytes);
    }
    return { length: unpacked, stride, compressed: true };
  });

  let numbers = 0;
  for (const accessor of root.objects('accessors')) {
    const entries = accessor.integer('count');
    const size = COMPONENT_BYTES[accessor.integer('componentType')];
    const type = accessor.string('type');
    const width = Object.hasOwn(WIDTHS, type)
      ? WIDTHS[type]
      : accessor.fail('type', `expected one of ${Object.keys(WIDTHS).join(', ')}`, type);
    if (!size)
      accessor.fail(
        'componentType',
        `expected one of ${Object.keys(COMPONENT_BYTES).join(', ')}`,
        accessor.integer('componentType'),
      );
    numbers += entries * width;
    if (numbers > LIMITS.numbers) {
      accessor.fail('count', `expected at most ${LIMITS.numbers} numbers in all accessors`, numbers);
    }
    const fits = (holder: Fields, view: number, items: number, bytes: number, strided: boolean) => {
      const { length, stride } = views[view];
      const step = strided && stride > 0 ? stride : bytes;
      const offset = holder.integer('byteOffset', 0);
      if (items > 0 && offset + (items - 1) * step + bytes > length) {
        accessor.fail('count', `expected what its ${length} bytes of bufferViews[${view}] hold`, items);
      }
    };
    const view = accessor.index('bufferView', views.length);
    if (view >= 0) fits(accessor, view, entries, width * size, true);
    const sparse = accessor.object('sparse');
    if (!sparse) continue;
    const changed = sparse.integer('count', undefined, 0, entries);
    const [at, values] = [sparse.required('indices'), sparse.required('values')];
    const atSize =
      COMPONENT_BYTES[at.integer('componentType')] ??
      at.fail('componentType', 'expected 5121, 5123 or 5125', undefined);
    fits(at, at.reference(at.integer('bufferView'), views.length, 'bufferView'), changed, atSize, false);
    fits(
      values,
      values.reference(values.integer('bufferView'), views.length, 'bufferView'),
      changed,
      width * size,
      false,
    );
  }

  root.objects('images').forEach((image) => {
    if (image.has('uri') === image.has('bufferView'))
      image.fail('uri', 'expected either uri or bufferView', undefined);
    image.index('bufferView', views.length);
    if (image.has('uri') && !resources[image.string('uri')]) {
      image.fail('uri', 'its bytes are missing: keep the picture beside the .gltf', image.string('uri'));
    }
  });
  const images = count('images');
  for (const texture of root.objects('textures')) {
    texture.index('source', images);
    texture.index('sampler', count('samplers'));
    texture.extension('EXT_texture_webp')?.index('source', images);
  }
  for (const material of root.objects('materials')) validateMaterial(material, count('textures'));

  for (const mesh of root.objects('meshes')) validateMesh(mesh, root, views.length);
  validateNodes(root);
}

function validateMaterial(material: Fields, textures: number): void {
  const texture = (holder: Fields | undefined, slot: string): Fields | undefined => {
    const use = holder?.object(slot);
    if (!use) return undefined;
    use.reference(use.integer('index'), textures, 'index');
    use.integer('texCoord', 0);
    const change = use.extension('KHR_texture_transform');
    change?.numbers('offset', 2, [0, 0]);
    change?.numbers('scale', 2, [1, 1]);
    change?.number('rotation', 0);
    change?.integer('texCoord', 0);
    return use;
  };
  material.string('alphaMode');
  material.number('alphaCutoff', 0.5);
  material.boolean('doubleSided', false);
  material.numbers('emissiveFactor', 3, [0, 0, 0]);
  material.extension('KHR_materials_emissive_strength')?.number('emissiveStrength', 1);
  texture(material, 'normalTexture')?.number('scale', 1);
  texture(material, 'occlusionTexture')?.number('strength', 1);
  texture(material, 'emissiveTexture');

  const surface = material.object('pbrMetallicRoughness');
  surface?.numbers('baseColorFactor', 4, [1, 1, 1, 1]);
  surface?.number('metallicFactor', 1);
  surface?.number('roughnessFactor', 1);
  texture(surface, 'baseColorTexture');
  texture(surface, 'metallicRoughnessTexture');

  const old = material.extension('KHR_materials_pbrSpecularGlossiness');
  old?.numbers('diffuseFactor', 4, [1, 1, 1, 1]);
  old?.numbers('specularFactor', 3, [1, 1, 1]);
  old?.number('glossinessFactor', 1);
  texture(old, 'diffuseTexture');
  texture(old, 'specularGlossinessTexture');

  material.extension('KHR_materials_ior')?.number('ior', 1.5);
  const specular = material.extension('KHR_materials_specular');
  specular?.number('specularFactor', 1);
  specular?.numbers('specularColorFactor', 3, [1, 1, 1]);
  texture(specular, 'specularTexture');
  texture(specular, 'specularColorTexture');
}

function validateMesh(mesh: Fields, root: Fields, views: number): void {
  const accessors = root.list('accessors').length;
  const materials = root.list('materials').length;
  const primitives = mesh.objects('primitives');
  for (const primitive of primitives) {
    primitive.index('indices', accessors);
    primitive.index('material', materials);
    primitive.integer('mode', 4, 0, 6);
    const attributes = primitive.required('attributes');
    for (const key of attributes.keys()) attributes.index(key, accessors);
    const targets = primitive.objects('targets');
    for (const target of targets) for (const key of target.keys()) target.index(key, accessors);
    if (targets.length !== targetsOf(mesh)) {
      primitive.fail('targets', "expected as many as the mesh's first primitive has", targets.length);
    }
    const draco = primitive.extension('KHR_draco_mesh_compression');
    if (!draco) continue;
    draco.reference(draco.integer('bufferView'), views, 'bufferView');
    const packed = draco.object('attributes');
    for (const key of packed?.keys() ?? []) {
      packed!.integer(key);
      if (!attributes.has(key))
        draco.fail(`attributes.${key}`, "expected one of the primitive's attributes", key);
    }
    if (!primitive.has('indices')) primitive.fail('indices', 'expected an accessor', undefined);
  }
  if (mesh.has('weights')) mesh.numbers('weights', targetsOf(mesh));
}

const targetsOf = (mesh: Fields): number => mesh.objects('primitives')[0]?.list('targets').length ?? 0;

function validateNodes(root: Fields): void {
  const nodes = root.objects('nodes');
  if (nodes.length > LIMITS.nodes) root.fail('nodes', `expected at most ${LIMITS.nodes}`, nodes.length);
  const meshes = root.objects('meshes');
  const targets = meshes.map(targetsOf);
  const accessors = root.objects('accessors');
  const skins = root.objects('skins');
  const parents = new Int32Array(nodes.length).fill(-1);
  nodes.forEach((node, index) => {
    for (const child of node.list('children')) {
      const at = node.reference(child, nodes.length, 'children');
      if (parents[at] >= 0) node.fail('children', `node ${at} already has the parent ${parents[at]}`, at);
      parents[at] = index;
    }
    const mesh = node.index('mesh', meshes.length);
    if (node.has('weights')) node.numbers('weights', targets[mesh] ?? 0);
    node.index('skin', skins.length);
    node.extension('KHR_node_visibility')?.boolean('visible', true);
    const instances = node.extension('EXT_mesh_gpu_instancing')?.object('attributes');
    const counts = instances?.keys().map((key) => {
      const at = instances.reference(instances.integer(key), accessors.length, key);
      return accessors[at].integer('count');
    });
    if (counts?.some((count) => count !== counts[0])) {
      instances!.fail('', 'expected accessors of one count', counts);
    }
    if (node.has('matrix')) node.numbers('matrix', 16);
    node.numbers('translation', 3, [0, 0, 0]);
    node.numbers('rotation', 4, [0, 0, 0, 1]);
    node.numbers('scale', 3, [1, 1, 1]);
  });

  // Every node has at most one parent, so climbing from a node either ends or returns to it.
  const seen = new Int32Array(nodes.length).fill(-1);
  for (let start = 0; start < nodes.length; start++) {
    for (let at = start; at >= 0 && seen[at] !== -2; at = parents[at]) {
      if (seen[at] === start)
        nodes[at].fail('children', 'node is its own ancestor; the tree must have no cycle', at);
      seen[at] = start;
    }
    for (let at = start; at >= 0 && seen[at] === start; at = parents[at]) seen[at] = -2;
  }

  skins.forEach((skin) => {
    const joints = skin.list('joints');
    if (joints.length === 0) skin.fail('joints', 'expected at least one node', joints);
    for (const joint of joints) skin.reference(joint, nodes.length, 'joints');
    skin.index('inverseBindMatrices', accessors.length);
    skin.index('skeleton', nodes.length);
  });
  const scenes = root.objects('scenes');
  root.index('scene', scenes.length);
  for (const scene of scenes)
    for (const node of scene.list('nodes')) scene.reference(node, nodes.length, 'nodes');
}
