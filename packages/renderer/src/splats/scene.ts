/**
 * A splat cloud on the device. Its harmonics alone can outgrow one binding (192 MB for a million splats of degree
 * 3, where some devices bind 128 MiB), so the cloud is cut into parts of whole splats, and projection runs by part.
 */
import type { Device, DeviceBuffer } from '@dwm/core-tensor';
import { type ShDegree, type SplatCloud, shCoefficients } from './cloud.ts';

/** Floats a splat in `shapes`: position and opacity, quaternion w x y z, scales and nothing. */
const SHAPE_FLOATS = 12;

interface SplatPart {
  /** Number of its first splat in the cloud. */
  readonly first: number;
  readonly count: number;
  readonly shapes: DeviceBuffer;
  /** [count, (degree + 1)^2, 3] */
  readonly sh: DeviceBuffer;
}

/** Gaussian splats on the device. */
export class SplatScene {
  readonly device: Device;
  readonly count: number;
  readonly degree: ShDegree;
  readonly antialiased: boolean;
  readonly parts: readonly SplatPart[];

  /** @throws OutOfMemoryError when the cloud does not fit the device. */
  constructor(device: Device, cloud: SplatCloud) {
    const { count, degree, antialiased } = cloud;
    this.device = device;
    this.count = count;
    this.degree = degree;
    this.antialiased = antialiased;
    const { maxStorageBufferBindingSize, maxBufferSize } = device.caps.limits;
    const bytes = 4 * Math.max(SHAPE_FLOATS, 3 * shCoefficients(degree));
    const most = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / bytes);
    const parts: SplatPart[] = [];
    this.parts = parts;
    try {
      for (let first = 0; first < count; first += most) {
        parts.push(upload(device, cloud, first, Math.min(most, count - first)));
      }
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  destroy(): void {
    for (const { shapes, sh } of this.parts) {
      shapes.destroy();
      sh.destroy();
    }
  }
}

function upload(device: Device, cloud: SplatCloud, first: number, count: number): SplatPart {
  const usage = GPUBufferUsage.STORAGE;
  const shapes = device.createBuffer(4 * SHAPE_FLOATS * count, usage, 'splat shapes', true);
  const floats = new Float32Array(shapes.gpu.getMappedRange());
  for (let i = 0; i < count; i++) {
    const [splat, at] = [first + i, SHAPE_FLOATS * i];
    for (let k = 0; k < 3; k++) floats[at + k] = cloud.positions[3 * splat + k];
    floats[at + 3] = cloud.opacities[splat];
    for (let k = 0; k < 4; k++) floats[at + 4 + k] = cloud.rotations[4 * splat + k];
    for (let k = 0; k < 3; k++) floats[at + 8 + k] = cloud.scales[3 * splat + k];
  }
  shapes.gpu.unmap();
  const perSplat = 3 * shCoefficients(cloud.degree);
  let sh: DeviceBuffer;
  try {
    sh = device.createBuffer(4 * perSplat * count, usage, 'splat harmonics', true);
  } catch (error) {
    shapes.destroy();
    throw error;
  }
  new Float32Array(sh.gpu.getMappedRange()).set(
    cloud.sh.subarray(perSplat * first, perSplat * (first + count)),
  );
  sh.gpu.unmap();
  return { first, count, shapes, sh };
}
