/**
 * Which of glTF's extensions the picture shows, and one line for each of the others that would change it. What is
 * left out is told by name, with the materials and nodes that have it, so that nobody finds out from the picture.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import type { Json } from './container.ts';
import type { Fields } from './validate.ts';

/** Drawn as their specifications say. */
const DRAWN = [
  'EXT_mesh_gpu_instancing',
  'EXT_meshopt_compression',
  'EXT_texture_webp',
  'KHR_draco_mesh_compression',
  'KHR_lights_punctual',
  'KHR_materials_emissive_strength',
  'KHR_materials_ior',
  'KHR_materials_pbrSpecularGlossiness',
  'KHR_materials_specular',
  'KHR_materials_unlit',
  'KHR_mesh_quantization',
  'KHR_meshopt_compression',
  'KHR_node_visibility',
  'KHR_texture_basisu',
  'KHR_texture_transform',
];

/** About something else than the picture. */
const UNSEEN =
  /^(KHR_xmp|KHR_audio|KHR_node_(selectability|hoverability)|KHR_(physics|collision|implicit_shapes)|EXT_(structural_metadata|mesh_features|instance_features|mesh_manifold)|FB_geometry_metadata|MSFT_audio|OMI_(?!environment))/;

type Check = (extension: Json) => boolean;

const above = (field: string): Check => {
  return (extension) => extension[field] !== undefined && extension[field] !== 0;
};

/** Where an extension is there in name only, it changes nothing. */
const CHANGES: Record<string, Check> = {
  KHR_materials_anisotropy: above('anisotropyStrength'),
  KHR_materials_clearcoat: above('clearcoatFactor'),
  KHR_materials_diffuse_transmission: above('diffuseTransmissionFactor'),
  KHR_materials_dispersion: above('dispersion'),
  KHR_materials_iridescence: above('iridescenceFactor'),
  KHR_materials_sheen: ({ sheenColorFactor: color }) =>
    color !== undefined && !(Array.isArray(color) && color.every((value) => value === 0)),
  KHR_materials_transmission: above('transmissionFactor'),
  KHR_materials_volume: above('thicknessFactor'),
};

/** @throws InvalidFileError naming what the file cannot be drawn without and we do not have. */
export function checkRequired(root: Fields, file: string): void {
  const missing = root
    .list('extensionsRequired')
    .map(String)
    .filter((name) => !DRAWN.includes(name) && !UNSEEN.test(name));
  if (missing.length > 0) {
    throw new InvalidFileError(
      file,
      `extensionsRequired: needs ${missing.join(', ')}, which is not supported; export it without`,
    );
  }
}

/**
 * The JSON with other ways of saying the same made one: KHR_meshopt_compression as its predecessor (the same
 * fields), a Basis Universal picture as the texture's own, and every extension that is there listed as used.
 */
export function normalizeExtensions(json: Json): Json {
  const used = new Set(Array.isArray(json.extensionsUsed) ? json.extensionsUsed : []);
  for (const { name } of extensionUses(json)) used.add(name);
  if (used.has('KHR_meshopt_compression')) used.add('EXT_meshopt_compression');
  const renamed = (holder: unknown) => {
    const { KHR_meshopt_compression: packed, ...others } = extensionsOf(holder);
    if (packed === undefined) return holder;
    return { ...(holder as Json), extensions: { ...others, EXT_meshopt_compression: packed } };
  };
  const basis = (texture: unknown) => {
    const { KHR_texture_basisu: picture, ...others } = extensionsOf(texture);
    if (!isObject(picture)) return texture;
    return { ...(texture as Json), source: picture.source, extensions: others };
  };
  const changed = (field: string, change: (entry: unknown) => unknown) =>
    Array.isArray(json[field]) ? { [field]: json[field].map(change) } : {};
  return {
    ...json,
    extensionsUsed: [...used],
    ...changed('buffers', renamed),
    ...changed('bufferViews', renamed),
    ...changed('textures', basis),
  };
}

/** One line for each extension that is left out of the picture. @param json as the file has it, after its checks. */
export function leftOut(json: Json): string[] {
  const places = new Map<string, Map<string, Set<string>>>();
  const materials = usedMaterials(json);
  for (const { name, kind, index, extension, holder } of extensionUses(json)) {
    if (DRAWN.includes(name)) continue;
    if (UNSEEN.test(name) || CHANGES[name]?.(extension) === false) continue;
    if (kind === 'materials' && !materials.has(index)) continue;
    // Another picture of the same is there.
    if (kind === 'textures' && isObject(holder) && holder.source !== undefined) continue;
    const kinds = places.get(name) ?? new Map<string, Set<string>>();
    places.set(name, kinds);
    const names = kinds.get(kind) ?? new Set();
    kinds.set(kind, names);
    names.add(nameOf(json, kind, index));
  }
  const lines = [...places].map(([what, kinds]) => {
    const where = [...kinds].flatMap(([kind, names]) => (kind ? [`${kind} ${listNames([...names])}`] : []));
    return `${what} is not drawn${where.length > 0 ? ` (${where.join('; ')})` : ''}`;
  });
  if (lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `${lines.length - MAX_LINES} more extensions are not drawn`];
}

/** No file of anybody's own has as many. */
const MAX_LINES = 20;

interface ExtensionUse {
  readonly name: string;
  readonly extension: Json;
  /** The list that it is in, such as `materials`; empty for the file's own. */
  readonly kind: string;
  readonly index: number;
  /** The object that has it. */
  readonly holder: unknown;
}

/** Every extension object of a file, extras aside. */
function* extensionUses(json: Json): Generator<ExtensionUse> {
  const pending: { value: unknown; kind: string; index: number }[] = [];
  for (const [kind, value] of Object.entries(json)) {
    if (kind === 'extensions') pending.push({ value: { extensions: value }, kind: '', index: -1 });
    else if (Array.isArray(value)) {
      for (const [index, entry] of value.entries()) pending.push({ value: entry, kind, index });
    }
  }
  // Not by recursion: a hostile file may be nested deeper than the call stack.
  pending.reverse();
  while (pending.length > 0) {
    const { value, kind, index } = pending.pop()!;
    if (Array.isArray(value)) {
      for (const entry of value) if (isObject(entry)) pending.push({ value: entry, kind, index });
    } else if (isObject(value)) {
      for (const [name, extension] of Object.entries(extensionsOf(value))) {
        if (!isObject(extension)) continue;
        yield { name, extension, kind, index, holder: value };
        pending.push({ value: extension, kind, index });
      }
      for (const [key, inner] of Object.entries(value)) {
        if (key !== 'extensions' && key !== 'extras') pending.push({ value: inner, kind, index });
      }
    }
  }
}

const isObject = (value: unknown): value is Json =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

function extensionsOf(holder: unknown): Json {
  return isObject(holder) && isObject(holder.extensions) ? holder.extensions : {};
}

function usedMaterials({ meshes }: Json): Set<number> {
  const lists = (Array.isArray(meshes) ? meshes : []).map((mesh) => (mesh as Json).primitives);
  return new Set(lists.flat().map((primitive) => (primitive as Json | undefined)?.material as number));
}

/** `"door"`, or `#3` for what has no name. */
export function nameOf(json: Json, kind: string, index: number): string {
  const entry = (json[kind] as unknown[] | undefined)?.[index];
  const name = isObject(entry) ? entry.name : undefined;
  return typeof name === 'string' && name !== '' ? quote(name) : `#${index}`;
}

/** `"a", "b", "c" and 2 more`. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
