/**
 * A rigged GLB as a hand: its nodes with WebXR joint names are driven by recorded poses, and the mesh follows by
 * linear blend skinning on the device.
 *
 * vertex = sum_k w_k world(joint_k) S_k inverseBind_k p, where world(joint) = world(first ancestor that is no
 * WebXR joint) x pose, without scale, and S_k is the hand shape's scale of the joint's own frame.
 */
import { type Device, type DeviceBuffer, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { fromMatrix3 } from '../camera/rotation.ts';
import { SkinnedVertices } from '../gpu/skinning.ts';
import { WEBXR_JOINTS } from '../mano/webxr.ts';
import { compose, identity, invertAffine, type Matrix, multiply, normalize } from '../scene/matrix.ts';
import { drawnNodes, worldMatrices } from '../scene/pose.ts';
import type { Scene, Skin } from '../scene/scene.ts';
import type { HandGeometry, HandPart } from './hand-geometry.ts';
import { checkShape, type HandShape, jointScale } from './hand-shape.ts';

interface RiggedPart extends HandPart {
  readonly skin: Skin;
  readonly vertices: SkinnedVertices;
  readonly corners: DeviceBuffer;
}

/** A hand posed by joints, from a GLB whose skin has WebXR's names. */
export class RiggedHand implements HandGeometry {
  readonly parts: readonly RiggedPart[];
  readonly #rest: readonly Matrix[];
  /** World matrix that each joint's pose is relative to, and its place in WebXR's order, by node. */
  readonly #driven: ReadonlyMap<number, { readonly joint: number; readonly base: Matrix }>;

  /** @throws InvalidFileError for a scene without a skin, or whose skin lacks joints. */
  constructor(device: Device, scene: Scene) {
    this.#rest = worldMatrices(scene);
    this.#driven = findJoints(scene, this.#rest);
    this.parts = drawnNodes(scene).flatMap((node) => {
      const { mesh, skin } = scene.nodes[node];
      if (mesh < 0 || skin < 0) return [];
      return scene.meshes[mesh].primitives.map((primitive): RiggedPart => {
        if (!primitive.normals) {
          throw new InvalidFileError(
            scene.name,
            `mesh "${scene.meshes[mesh].name}" has no NORMAL; export normals`,
          );
        }
        const vertices = new SkinnedVertices(device, primitive, scene.skins[skin].joints.length);
        const corners = device.createBuffer(
          primitive.indices.byteLength,
          GPUBufferUsage.INDEX | GPUBufferUsage.COPY_DST,
          'hand indices',
        );
        device.gpu.queue.writeBuffer(corners.gpu, 0, primitive.indices as Uint32Array<ArrayBuffer>);
        return {
          skin: scene.skins[skin],
          vertices,
          corners,
          positions: vertices.positions.gpu,
          normals: vertices.normals.gpu,
          indices: corners.gpu,
          indexCount: primitive.indices.length,
        };
      });
    });
    if (this.parts.length === 0) {
      throw new InvalidFileError(
        scene.name,
        'has no skinned mesh; expected a rigged hand with WebXR joint names',
      );
    }
    this.pose(this.restJoints());
  }

  /**
   * @param joints [25, 7] in WebXR's order: x y z (metres) qx qy qz qw.
   * @param shape of the person; `joints` are taken as they are, see `shapeJoints`.
   * @throws InvalidArgumentError for another length or numbers that are not finite.
   */
  pose(joints: ArrayLike<number>, shape: HandShape = {}): void {
    if (joints.length !== WEBXR_JOINTS.length * 7) {
      throw new InvalidArgumentError(
        'joints',
        `expected ${WEBXR_JOINTS.length} of 7 numbers, got ${joints.length}`,
      );
    }
    const wrong = Array.prototype.findIndex.call(joints, (value) => !Number.isFinite(value));
    if (wrong >= 0) {
      const joint = Math.floor(wrong / 7);
      throw new InvalidArgumentError(
        'joints',
        `${WEBXR_JOINTS[joint]} has the number ${joints[wrong]}, expected finite ones`,
      );
    }
    checkShape(shape);
    for (const { skin, vertices } of this.parts) {
      const worlds = skin.joints.map((node) => {
        const driven = this.#driven.get(node);
        if (!driven) return this.#rest[node];
        const at = driven.joint * 7;
        const number = (i: number) => joints[at + i];
        const local = compose(
          [0, 1, 2].map(number),
          [3, 4, 5, 6].map(number),
          jointScale(driven.joint, shape),
        );
        return multiply(driven.base, local);
      });
      vertices.write(worlds, skin.inverseBind);
    }
  }

  /** The file's own pose: [25, 7]. */
  restJoints(): Float64Array {
    const joints = new Float64Array(WEBXR_JOINTS.length * 7);
    for (const [node, { joint, base }] of this.#driven) {
      const m = multiply(invertAffine(base), this.#rest[node]);
      const columns = [0, 1, 2].map((column) => normalize([m[column], m[4 + column], m[8 + column]]));
      const rotation = fromMatrix3([0, 1, 2].flatMap((row) => columns.map((column) => column[row])));
      joints.set([m[3], m[7], m[11], ...rotation], joint * 7);
    }
    return joints;
  }

  destroy(): void {
    for (const { vertices, corners } of this.parts) {
      vertices.destroy();
      corners.destroy();
    }
  }
}

function findJoints(scene: Scene, rest: readonly Matrix[]): Map<number, { joint: number; base: Matrix }> {
  const order = new Map<string, number>(WEBXR_JOINTS.map((name, joint) => [name, joint]));
  const inSkin = new Set(scene.skins.flatMap(({ joints }) => joints));
  const isDriven = (node: number) => inSkin.has(node) && order.has(scene.nodes[node].name);
  const driven = new Map<number, { joint: number; base: Matrix }>();
  for (const node of inSkin) {
    if (!isDriven(node)) continue;
    let ancestor = scene.nodes[node].parent;
    while (ancestor >= 0 && isDriven(ancestor)) ancestor = scene.nodes[ancestor].parent;
    driven.set(node, {
      joint: order.get(scene.nodes[node].name)!,
      base: ancestor < 0 ? identity() : rest[ancestor],
    });
  }
  const found = new Set([...driven.values()].map(({ joint }) => joint));
  const missing = WEBXR_JOINTS.filter((_, joint) => !found.has(joint));
  // Some rigs leave out tips, which move nothing that the distal joints do not.
  const needed = missing.filter((name) => !name.endsWith('-tip'));
  if (needed.length > 0) {
    throw new InvalidFileError(
      scene.name,
      `its skin lacks the joint${needed.length > 1 ? 's' : ''} ${needed.slice(0, 4).join(', ')}${needed.length > 4 ? ', …' : ''}; name its bones as WebXR Hand Input does`,
    );
  }
  return driven;
}
