/**
 * Depth as a directional light sees the whole scene: an orthographic box around the scene's bounding sphere, so
 * texels keep their size when the light turns. Depth is reversed here too: 1 near the light, 0 far from it.
 */
import type { Device } from '@dwm/core-tensor';
import { cross, multiply, normalize } from '../scene/matrix.ts';
import type { Bounds } from '../scene/pose.ts';
import { DEPTH_FORMAT } from './render-target.ts';

export class ShadowMap {
  readonly texture: GPUTexture;
  /** Texels along an edge. */
  readonly size: number;
  /** World position that `clip` is relative to. */
  center: readonly [number, number, number] = [0, 0, 0];
  /** Clip from world coordinates relative to `center`: [4, 4] row by row. */
  clip = new Float64Array(16);
  texelMetres = 0;
  #state = '';

  constructor(device: Device, size: number) {
    this.size = size;
    this.texture = device.gpu.createTexture({
      label: 'shadow map',
      size: [size, size],
      format: DEPTH_FORMAT,
      usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.TEXTURE_BINDING,
    });
  }

  /** Fits the map. @returns whether it has to be drawn again. */
  update({ min, max }: Bounds, direction: readonly [number, number, number], version: number): boolean {
    const state = JSON.stringify([min, max, direction, version]);
    if (state === this.#state) return false;
    this.#state = state;
    this.center = [0, 1, 2].map((axis) => (min[axis] + max[axis]) / 2) as [number, number, number];
    const radius = Math.max(1e-3, Math.hypot(...max.map((value, axis) => value - min[axis])) / 2) * 1.01;
    const up = Math.abs(direction[1]) > 0.9 ? [1, 0, 0] : [0, 1, 0];
    const right = normalize(cross(direction, up));
    const above = cross(right, direction);
    this.clip = Float64Array.of(
      ...right.map((value) => value / radius),
      0,
      ...above.map((value) => value / radius),
      0,
      ...direction.map((value) => -value / (2 * radius)),
      0.5,
      ...[0, 0, 0, 1],
    );
    this.texelMetres = (2 * radius) / this.size;
    return true;
  }

  /** Texture coordinates and depth from world coordinates relative to `origin`. */
  lookup(origin: readonly number[]): Float64Array {
    const toTexture = [0.5, 0, 0, 0.5, 0, -0.5, 0, 0.5, 0, 0, 1, 0, 0, 0, 0, 1];
    const shift = origin.map((value, axis) => value - this.center[axis]);
    const toCenter = [1, 0, 0, shift[0], 0, 1, 0, shift[1], 0, 0, 1, shift[2], 0, 0, 0, 1];
    return multiply(multiply(toTexture, this.clip), toCenter);
  }
}
