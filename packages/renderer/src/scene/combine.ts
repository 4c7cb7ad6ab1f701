/** Several scenes as one: a room and the furniture put into it. */
import type { Material, Scene, TextureUse } from './scene.ts';

/** A scene that is put into another. */
export interface PlacedScene {
  readonly scene: Scene;
  /** Name of the node that carries it. */
  readonly name: string;
  readonly translation?: readonly number[];
  /** Quaternion x y z w. */
  readonly rotation?: readonly number[];
  readonly scale?: readonly number[];
}

/** A material among others whose scene has `images` more in front of its own. */
export function materialAfter(material: Material, images: number): Material {
  const use = (texture?: TextureUse) => texture && { ...texture, image: texture.image + images };
  return {
    ...material,
    baseColorTexture: use(material.baseColorTexture),
    metallicRoughnessTexture: use(material.metallicRoughnessTexture),
    specularGlossinessTexture: use(material.specularGlossinessTexture),
    specularTexture: use(material.specularTexture),
    specularColorTexture: use(material.specularColorTexture),
    normalTexture: use(material.normalTexture),
    occlusionTexture: use(material.occlusionTexture),
    emissiveTexture: use(material.emissiveTexture),
  };
}

/**
 * Every scene hangs below a node of its own. Nodes keep their order: scene p's node n is at
 * (nodes of the scenes before) + p + 1 + n, with the carrier in front.
 */
export function combineScenes(name: string, scenes: readonly PlacedScene[]): Scene {
  const all = {
    name,
    nodes: [] as Scene['nodes'][number][],
    roots: [] as number[],
    meshes: [] as Scene['meshes'][number][],
    materials: [] as Scene['materials'][number][],
    images: [] as Scene['images'][number][],
    skins: [] as Scene['skins'][number][],
    lights: [] as Scene['lights'][number][],
  };
  for (const placed of scenes) {
    const { scene } = placed;
    const carrier = all.nodes.length;
    const node = (index: number) => index + carrier + 1;
    const after = (index: number, count: number) => (index < 0 ? -1 : index + count);
    const [meshes, materials, images] = [all.meshes.length, all.materials.length, all.images.length];
    const [skins, lights] = [all.skins.length, all.lights.length];
    all.roots.push(carrier);
    all.nodes.push({
      name: placed.name,
      parent: -1,
      translation: placed.translation ?? [0, 0, 0],
      rotation: placed.rotation ?? [0, 0, 0, 1],
      scale: placed.scale ?? [1, 1, 1],
      mesh: -1,
      skin: -1,
      light: -1,
    });
    const roots = new Set(scene.roots);
    scene.nodes.forEach((own, index) => {
      all.nodes.push({
        ...own,
        parent: own.parent >= 0 ? node(own.parent) : roots.has(index) ? carrier : -1,
        mesh: after(own.mesh, meshes),
        skin: after(own.skin, skins),
        light: after(own.light, lights),
      });
    });
    all.meshes.push(
      ...scene.meshes.map((mesh) => ({
        ...mesh,
        primitives: mesh.primitives.map((p) => ({ ...p, material: after(p.material, materials) })),
      })),
    );
    all.materials.push(...scene.materials.map((material) => materialAfter(material, images)));
    all.images.push(...scene.images);
    all.skins.push(...scene.skins.map((skin) => ({ ...skin, joints: skin.joints.map(node) })));
    all.lights.push(...scene.lights);
  }
  return all;
}
