/**
 * A hand on the device, ready to draw: world vertices and normals. They are skinned on the device, from MANO's
 * parameters (`mano-hand.ts`) or from the 25 WebXR joints of a rigged GLB (`rigged-hand.ts`).
 */

/** One draw: f32 positions and normals [vertices, 3] in world space, metres. */
export interface HandPart {
  readonly positions: GPUBuffer;
  readonly normals: GPUBuffer;
  readonly indices: GPUBuffer;
  readonly indexCount: number;
}

/** A hand's meshes on the device. */
export interface HandGeometry {
  readonly parts: readonly HandPart[];
  destroy(): void;
}
