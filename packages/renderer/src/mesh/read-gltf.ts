/**
 * glTF and GLB files as a `Scene`. The container and every reference are checked first (`validate.ts`), then
 * glTF-Transform decodes accessors, compression and materials. The node tree is taken from the JSON itself:
 * glTF-Transform splits a node's matrix into translation, rotation and scale, which loses shear.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { printable } from '@dwm/core-tensor/files';
import { type Document, Logger, WebIO } from '@gltf-transform/core';
import {
  EXTMeshoptCompression,
  EXTTextureWebP,
  KHRDracoMeshCompression,
  KHRLightsPunctual,
  KHRMaterialsEmissiveStrength,
  KHRMaterialsIOR,
  KHRMaterialsPBRSpecularGlossiness,
  KHRMaterialsSpecular,
  KHRMaterialsUnlit,
  KHRMeshQuantization,
  KHRTextureTransform,
  type Light,
} from '@gltf-transform/extensions';
import { identity, transpose } from '../scene/matrix.ts';
import { drawnNodes } from '../scene/pose.ts';
import type { PunctualLight, Scene, SceneNode, Skin } from '../scene/scene.ts';
import { AccessorReader } from './accessors.ts';
import { decodeDataUri, type Json, openContainer, pathOf } from './container.ts';
import { checkDraco } from './draco.ts';
import { checkRequired, leftOut, listNames, nameOf, normalizeExtensions } from './extensions.ts';
import { ImageList } from './images.ts';
import { readMaterial, withoutEmptyTextures } from './materials.ts';
import { MorphedMeshes } from './morph.ts';
import { checkSize, chosenScene, placeInstances, readNodes, readRoots } from './nodes.ts';
import { readPrimitive } from './primitives.ts';
import { Fields, type Resources, validateGltf } from './validate.ts';

/** Options of `readGltf`. */
export interface ReadGltfOptions {
  /** File name, for messages and errors. */
  readonly name: string;
  /**
   * Bytes of the files a .gltf points to, by their path beside it: percent-decoded, with `/` between its parts. It
   * is the reader's business not to leave the folder. Absent ones are errors.
   */
  readonly readUri?: (path: string, field: string) => Promise<Uint8Array>;
  /** Which scene to draw: index or name; the file's default one otherwise. */
  readonly scene?: number | string;
  /** Draco's decoder module, where `import('draco3dgltf')` does not work (browser bundles). */
  readonly dracoDecoder?: () => Promise<unknown>;
  /** Takes one line for each thing in the file that the picture will not show; the console by default. */
  readonly warn?: (line: string) => void;
}

/** glTF-Transform's own key for the binary chunk of a GLB. */
const BINARY = '@glb.bin';

const EXTENSIONS = [
  EXTMeshoptCompression,
  EXTTextureWebP,
  KHRDracoMeshCompression,
  KHRLightsPunctual,
  KHRMaterialsEmissiveStrength,
  KHRMaterialsIOR,
  KHRMaterialsPBRSpecularGlossiness,
  KHRMaterialsSpecular,
  KHRMaterialsUnlit,
  KHRMeshQuantization,
  KHRTextureTransform,
];

/**
 * @param bytes a .glb or .gltf file.
 * @throws InvalidFileError in one line for anything damaged, beyond `LIMITS`, or that requires an extension that is
 * not drawn (see `extensions.ts`).
 */
export async function readGltf(bytes: Uint8Array, options: ReadGltfOptions): Promise<Scene> {
  const file = options.name;
  const { json: own, binary } = openContainer(bytes, file);
  const json = normalizeExtensions(own);
  const root = new Fields(json, file, '');
  const version = root.object('asset')?.string('version');
  if (version !== '2.0') root.fail('asset.version', 'expected "2.0"; export the file as glTF 2.0', version);
  checkRequired(root, file);

  const resources = await readResources(root, binary, options);
  validateGltf(root, resources, BINARY);
  checkDraco(root, resources, BINARY);
  const document = await decode(json, resources, options);
  try {
    const { scene, notes } = buildScene(root, json, document, options);
    const warn = options.warn ?? ((line: string) => console.warn(line));
    for (const line of [...leftOut(own), ...notes]) warn(printable(`${file}: ${line}`));
    return scene;
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
    const field = `${holder.path}.uri`;
    const inline = decodeDataUri(uri, name, field);
    if (inline) resources[uri] = inline;
    else {
      const path = pathOf(uri, name, field);
      if (readUri) resources[uri] = new Uint8Array(await readUri(path, field));
    }
  }
  return resources;
}

async function decode(
  json: Json,
  resources: Resources,
  { name, dracoDecoder = importDraco }: ReadGltfOptions,
): Promise<Document> {
  const uses = (extension: string) => (json.extensionsUsed as unknown[]).includes(extension);
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
    const drawn = { ...withoutEmptyTextures(json), animations: [], cameras: [], extensionsRequired: [] };
    return await io.readJSON({ json: withoutCameras(drawn) as never, resources });
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

interface Built {
  readonly scene: Scene;
  /** What of glTF itself is left out of the picture. */
  readonly notes: readonly string[];
}

function buildScene(root: Fields, json: Json, document: Document, options: ReadGltfOptions): Built {
  const { name: file, scene: wanted } = options;
  const decoded = document.getRoot();
  const images = new ImageList(file);
  const allMaterials = decoded.listMaterials();
  const materials = allMaterials.map((material) => readMaterial(material, images));
  const accessors = new AccessorReader(file, decoded.listAccessors());
  const meshes = new MorphedMeshes(
    file,
    decoded.listMeshes().map((mesh, m) => {
      const read = mesh.listPrimitives().map((primitive, p) => {
        const material = primitive.getMaterial();
        return readPrimitive(accessors, primitive, material ? allMaterials.indexOf(material) : -1, {
          file,
          where: `meshes[${m}].primitives[${p}]`,
        });
      });
      return {
        name: mesh.getName(),
        primitives: read.map(({ primitive }) => primitive),
        targets: read.map(({ targets }) => targets),
      };
    }),
  );

  const lights: PunctualLight[] = [];
  const lightOf = decoded.listNodes().map((node) => {
    const light = node.getExtension<Light>('KHR_lights_punctual');
    return light ? lights.push(readLight(light, file)) - 1 : -1;
  });
  const nodes = readNodes(root, lightOf, meshes);
  const skins = readSkins(root, accessors);
  checkSkinned(nodes, meshes.list, skins, file);
  const skinned = placeInstances(root, nodes, accessors);
  checkSize(nodes, meshes.list, file);
  const scene: Scene = {
    name: file,
    nodes,
    roots: readRoots(root, wanted),
    meshes: meshes.list,
    materials,
    images: images.list,
    skins,
    lights,
  };
  return { scene, notes: notesOn(root, json, scene, skinned, wanted) };
}

function notesOn(
  root: Fields,
  json: Json,
  scene: Scene,
  skinned: readonly number[],
  wanted: number | string | undefined,
): string[] {
  const notes: string[] = [];
  const named = (kind: string, indices: readonly number[]) =>
    listNames(indices.map((index) => nameOf(json, kind, index)));
  const where = (kind: string, test: (entry: Fields) => boolean) =>
    root.objects(kind).flatMap((entry, index) => (test(entry) ? [index] : []));
  const say = (kind: string, indices: readonly number[], text: string) => {
    if (indices.length > 0) notes.push(`${text} (${kind} ${named(kind, indices)})`);
  };
  const thin = where('meshes', (mesh) => mesh.objects('primitives').some((p) => p.integer('mode', 4) < 4));
  say('meshes', thin, 'points and lines are not drawn');
  say('nodes', skinned, 'EXT_mesh_gpu_instancing does not apply to skinned meshes: each is drawn once');
  const odd = where(
    'materials',
    (m) => !['OPAQUE', 'MASK', 'BLEND'].includes(m.string('alphaMode', 'OPAQUE')),
  );
  say('materials', odd, 'an alphaMode that is none of OPAQUE, MASK and BLEND is drawn as OPAQUE');
  const empty = where(
    'textures',
    (texture) => !texture.has('source') && !texture.object('extensions')?.keys().length,
  );
  say('textures', empty, 'textures without a picture are drawn white');
  const wraps = [10497, 33071, 33648];
  const filters = [9728, 9729, 9984, 9985, 9986, 9987];
  const strange = where('samplers', (sampler) => {
    const one = (field: string, known: number[]) => known.includes(sampler.integer(field, known[0]));
    return !(
      one('wrapS', wraps) &&
      one('wrapT', wraps) &&
      one('minFilter', filters) &&
      one('magFilter', filters)
    );
  });
  say('samplers', strange, 'a wrap or filter that glTF does not have is drawn as the usual one');
  say(
    'animations',
    where('animations', () => true),
    'animations are not played, everything stands still',
  );
  const scenes = root.list('scenes').length;
  if (scenes > 1 && wanted === undefined) {
    const name = nameOf(json, 'scenes', chosenScene(root, wanted));
    notes.push(`has ${scenes} scenes, scene ${name} alone is drawn`);
  }
  const shown = drawnNodes(scene).some((index) => {
    const { mesh } = scene.nodes[index];
    return mesh >= 0 && scene.meshes[mesh].primitives.some(({ indices }) => indices.length > 0);
  });
  if (!shown) notes.push('shows no triangle: the picture stays empty');
  return notes;
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
