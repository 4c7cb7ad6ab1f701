/** Collects bodies with their meshes into one scene: a node a body, a material a surface. */
import { rotations, type Vec3 } from '@dwm/renderer';
import { materialAfter, type Primitive, type Scene } from '@dwm/renderer/scene';
import { MeshBuilder } from './mesh.ts';
import type { Placement, Shape, Solid } from './solid.ts';
import { type Body, firstPlace, type Grip } from './world.ts';

interface Surface {
  readonly roughness: number;
  readonly metallic?: number;
  readonly emissive?: readonly number[];
}

export const UPRIGHT: Placement['rotation'] = [0, 0, 0, 1];

export const at = (
  x: number,
  y: number,
  z: number,
  rotation: Placement['rotation'] = UPRIGHT,
): Placement => ({
  position: [x, y, z],
  rotation,
});

export const solid = (
  shape: Shape,
  x = 0,
  y = 0,
  z = 0,
  rotation: Placement['rotation'] = UPRIGHT,
): Solid => ({
  shape,
  ...at(x, y, z, rotation),
});

export const box = (x: number, y: number, z: number): Shape => ({ kind: 'box', half: [x, y, z] });

/** A rotation about the vertical, radians. */
export const yaw = (angle: number): Placement['rotation'] => rotations.fromAxisAngle([0, angle, 0]);

type NewBody = Omit<Body, 'node' | 'words' | 'density' | 'friction' | 'grips'> & {
  /** The name with its article where it is left out. */
  readonly words?: string;
  readonly density?: number;
  readonly friction?: number;
  readonly grips?: readonly Grip[];
  readonly surface?: Surface;
};

/** What a body looks like that is not drawn here. */
type Model = Pick<Scene, 'materials' | 'images'> & { readonly primitives: readonly Primitive[] };

export class SceneBuilder {
  readonly bodies: Body[] = [];
  readonly #meshes: Scene['meshes'][number][] = [];
  readonly #materials: Scene['materials'][number][] = [];
  readonly #images: Scene['images'][number][] = [];
  /** Primitives of the models that are in the scene already. */
  readonly #models = new Map<Model, readonly Primitive[]>();
  readonly #names = new Map<string, number>();

  /** A name that no body has yet: "cup", "cup 2". */
  name(wanted: string): string {
    const count = (this.#names.get(wanted) ?? 0) + 1;
    this.#names.set(wanted, count);
    return count === 1 ? wanted : `${wanted} ${count}`;
  }

  /** `draw` adds triangles in the body's frame. */
  add(body: NewBody, draw: (mesh: MeshBuilder) => void): Body {
    const mesh = new MeshBuilder();
    draw(mesh);
    const { surface = { roughness: 0.8 } } = body;
    this.#materials.push({
      name: body.name,
      baseColor: [1, 1, 1, 1],
      emissive: surface.emissive ?? [0, 0, 0],
      metallic: surface.metallic ?? 0,
      roughness: surface.roughness,
      normalScale: 1,
      occlusionStrength: 1,
      alphaMode: 'opaque',
      alphaCutoff: 0.5,
      doubleSided: false,
      unlit: false,
    });
    return this.#put(body, [mesh.primitive(this.#materials.length - 1)]);
  }

  /** The model is in the body's frame; one that several bodies have is kept once. */
  addModel(body: Omit<NewBody, 'surface'>, model: Model): Body {
    let primitives = this.#models.get(model);
    if (!primitives) {
      const [materials, images] = [this.#materials.length, this.#images.length];
      this.#materials.push(...model.materials.map((material) => materialAfter(material, images)));
      this.#images.push(...model.images);
      primitives = model.primitives.map((primitive) => ({
        ...primitive,
        material: primitive.material < 0 ? -1 : primitive.material + materials,
      }));
      this.#models.set(model, primitives);
    }
    return this.#put(body, primitives);
  }

  #put(body: NewBody, primitives: readonly Primitive[]): Body {
    const { surface, words = `the ${body.name}`, density = 300, friction = 0.6, grips = [], ...rest } = body;
    const added: Body = { ...rest, words, density, friction, grips, node: this.bodies.length };
    this.#meshes.push({ name: body.name, primitives });
    this.bodies.push(added);
    return added;
  }

  scene(name: string, bodies: readonly Body[] = this.bodies): Scene {
    return {
      name,
      nodes: bodies.map((body, mesh) => {
        const { position, rotation } = firstPlace(body);
        return {
          name: body.name,
          parent: -1,
          translation: position as Vec3,
          rotation,
          scale: [1, 1, 1],
          mesh,
          skin: -1,
          light: -1,
        };
      }),
      roots: bodies.map((_, node) => node),
      meshes: this.#meshes,
      materials: this.#materials,
      images: this.#images,
      skins: [],
      lights: [],
    };
  }
}
