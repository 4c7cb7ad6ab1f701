/** glTF's materials as the shaders know them. */
import type { Material as GltfMaterial, Texture, TextureInfo } from '@gltf-transform/core';
import type {
  EmissiveStrength,
  IOR,
  PBRSpecularGlossiness,
  Specular,
  Transform,
} from '@gltf-transform/extensions';
import type { Material, TextureUse, Wrap } from '../scene/scene.ts';
import type { Json } from './container.ts';
import type { ImageList } from './images.ts';

const ALPHA_MODES = new Map<string, Material['alphaMode']>([
  ['MASK', 'mask'],
  ['BLEND', 'blend'],
]);

type Use = (texture: Texture | null, info: TextureInfo | null) => TextureUse | undefined;

export function readMaterial(material: GltfMaterial, images: ImageList): Material {
  const use: Use = (texture, info) => (texture && info ? readTextureUse(texture, info, images) : undefined);
  const strength = material.getExtension<EmissiveStrength>('KHR_materials_emissive_strength');
  const unlit = material.getExtension('KHR_materials_unlit') !== null;
  return {
    name: material.getName(),
    ...readSurface(material, unlit, use),
    emissive: material.getEmissiveFactor().map((value) => value * (strength?.getEmissiveStrength() ?? 1)),
    normalScale: material.getNormalScale(),
    occlusionStrength: material.getOcclusionStrength(),
    alphaMode: ALPHA_MODES.get(material.getAlphaMode()) ?? 'opaque',
    alphaCutoff: material.getAlphaCutoff(),
    doubleSided: material.getDoubleSided(),
    unlit,
    normalTexture: use(material.getNormalTexture(), material.getNormalTextureInfo()),
    occlusionTexture: use(material.getOcclusionTexture(), material.getOcclusionTextureInfo()),
    emissiveTexture: use(material.getEmissiveTexture(), material.getEmissiveTextureInfo()),
  };
}

type Surface = Pick<
  Material,
  | 'baseColor'
  | 'baseColorTexture'
  | 'metallic'
  | 'roughness'
  | 'metallicRoughnessTexture'
  | 'dielectric'
  | 'specularTexture'
  | 'specularColorTexture'
  | 'specularGlossiness'
  | 'specularGlossinessTexture'
>;

/** Base colour and how it shines. Specular-glossiness goes before metallic roughness where a material has both. */
function readSurface(material: GltfMaterial, unlit: boolean, use: Use): Surface {
  const old = material.getExtension<PBRSpecularGlossiness>('KHR_materials_pbrSpecularGlossiness');
  if (old && !unlit) {
    return {
      baseColor: old.getDiffuseFactor(),
      baseColorTexture: use(old.getDiffuseTexture(), old.getDiffuseTextureInfo()),
      metallic: 0,
      roughness: 1,
      specularGlossiness: { specular: old.getSpecularFactor(), glossiness: old.getGlossinessFactor() },
      specularGlossinessTexture: use(
        old.getSpecularGlossinessTexture(),
        old.getSpecularGlossinessTextureInfo(),
      ),
    };
  }
  return {
    baseColor: material.getBaseColorFactor(),
    baseColorTexture: use(material.getBaseColorTexture(), material.getBaseColorTextureInfo()),
    metallic: material.getMetallicFactor(),
    roughness: material.getRoughnessFactor(),
    ...readDielectric(material, use),
    metallicRoughnessTexture: use(
      material.getMetallicRoughnessTexture(),
      material.getMetallicRoughnessTextureInfo(),
    ),
  };
}

/** KHR_materials_ior and KHR_materials_specular: f0 = min(((ior - 1) / (ior + 1))^2 x colour, 1) x factor. */
function readDielectric(
  material: GltfMaterial,
  use: Use,
): Pick<Material, 'dielectric' | 'specularTexture' | 'specularColorTexture'> {
  const ior = material.getExtension<IOR>('KHR_materials_ior')?.getIOR() ?? 1.5;
  const specular = material.getExtension<Specular>('KHR_materials_specular');
  if (ior === 1.5 && !specular) return {};
  // An index of 0 is the specification's way to ask for a reflectance of 1.
  const normal = ior === 0 ? 1 : ((ior - 1) / (ior + 1)) ** 2;
  const grazing = specular?.getSpecularFactor() ?? 1;
  const color = specular?.getSpecularColorFactor() ?? [1, 1, 1];
  return {
    dielectric: { normal: color.map((value) => normal * value), grazing },
    ...(specular && {
      specularTexture: use(specular.getSpecularTexture(), specular.getSpecularTextureInfo()),
      specularColorTexture: use(specular.getSpecularColorTexture(), specular.getSpecularColorTextureInfo()),
    }),
  };
}

/** Materials without the textures that have no picture we know: a checked JSON that glTF-Transform can read. */
export function withoutEmptyTextures(json: Json): Json {
  const textures = (json.textures ?? []) as Json[];
  const empty = textures.map(
    ({ source, extensions }) =>
      source === undefined && (extensions as Json | undefined)?.EXT_texture_webp === undefined,
  );
  const full = (holder: unknown): unknown =>
    holder &&
    Object.fromEntries(
      Object.entries(holder).filter(([key, use]) => !(key.endsWith('Texture') && empty[use?.index])),
    );
  const materials = ((json.materials ?? []) as Json[]).map((material) => ({
    ...(full(material) as Json),
    pbrMetallicRoughness: full(material.pbrMetallicRoughness),
    extensions: Object.fromEntries(
      Object.entries(material.extensions ?? {}).map(([name, extension]) => [name, full(extension)]),
    ),
  }));
  return { ...json, materials };
}

const WRAPS: Record<number, Wrap> = { 10497: 'repeat', 33071: 'clamp-to-edge', 33648: 'mirror-repeat' };

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
