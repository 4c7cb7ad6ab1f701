/**
 * A hand on the device, ready to draw: world vertices and normals. They are skinned on the device, from MANO's
 * parameters (`mano-hand.ts`) or from the 25 WebXR joints of a rigged GLB (`rigged-hand.ts`), or made elsewhere and
 * uploaded every frame (`MeshHand`, e.g. for the vertices that a hand tracker predicts).
 */
import { type Device, type DeviceBuffer, InvalidArgumentError } from '@dwm/core-tensor';
import { vertexNormals } from '../mano/pose.ts';

/** One draw: f32 positions and normals [vertices, 3] in world space, metres. */
export interface HandPart {
  readonly positions: GPUBuffer;
  readonly normals: GPUBuffer;
  readonly indices: GPUBuffer;
  readonly indexCount: number;
}

export interface HandGeometry {
  readonly parts: readonly HandPart[];
  destroy(): void;
}

/** A hand given by its vertices, new ones every frame. */
export class MeshHand implements HandGeometry {
  readonly parts: readonly HandPart[];
  readonly #device: Device;
  readonly #indices: Uint32Array;
  readonly #owned: readonly DeviceBuffer[];
  readonly #vertices: number;

  /** @param indices [triangles, 3] wound outwards; @param vertices how many there are in every frame. */
  constructor(device: Device, indices: Uint32Array, vertices: number) {
    this.#device = device;
    this.#indices = indices;
    this.#vertices = vertices;
    const create = (bytes: number, usage: number, label: string) =>
      device.createBuffer(bytes, usage | GPUBufferUsage.COPY_DST, label);
    const positions = create(vertices * 12, GPUBufferUsage.VERTEX, 'hand positions');
    const normals = create(vertices * 12, GPUBufferUsage.VERTEX, 'hand normals');
    const corners = create(indices.byteLength, GPUBufferUsage.INDEX, 'hand indices');
    device.gpu.queue.writeBuffer(corners.gpu, 0, indices as Uint32Array<ArrayBuffer>);
    this.#owned = [positions, normals, corners];
    this.parts = [
      { positions: positions.gpu, normals: normals.gpu, indices: corners.gpu, indexCount: indices.length },
    ];
  }

  /**
   * @param vertices [vertices, 3] in world space, metres.
   * @param normals [vertices, 3]; by default area-weighted means of the triangles', as the original has them.
   * @throws InvalidArgumentError for another number of vertices.
   */
  update(vertices: Float32Array, normals: Float32Array = vertexNormals(vertices, this.#indices)): void {
    if (vertices.length !== this.#vertices * 3 || normals.length !== vertices.length) {
      throw new InvalidArgumentError(
        'vertices',
        `expected ${this.#vertices} of 3 numbers, got ${vertices.length / 3}`,
      );
    }
    const { queue } = this.#device.gpu;
    queue.writeBuffer(this.#owned[0].gpu, 0, vertices as Float32Array<ArrayBuffer>);
    queue.writeBuffer(this.#owned[1].gpu, 0, normals as Float32Array<ArrayBuffer>);
  }

  destroy(): void {
    for (const buffer of this.#owned) buffer.destroy();
  }
}
