/** What the mesh shader is told of a frame: `Frame` and `Light` of mesh-shader.ts, byte for byte. */
import { columnMajor } from '../camera/pose.ts';
import type { LightRig } from '../scene/lights.ts';
import type { ShadowMap } from './shadow-map.ts';
import { clipMatrix, positionOf, rayMatrix, type View } from './view.ts';

export const FRAME_BYTES = 240;
const LIGHT_BYTES = 64;
const KINDS = { directional: 0, point: 1, spot: 2 };

export function frameUniforms(
  view: View,
  rig: LightRig,
  shadow: ShadowMap | undefined,
  background: readonly [number, number, number] | undefined,
): ArrayBuffer {
  const frame = new ArrayBuffer(FRAME_BYTES);
  const floats = new Float32Array(frame);
  floats.set(columnMajor(clipMatrix(view)));
  if (shadow) floats.set(columnMajor(shadow.lookup(positionOf(view))), 16);
  floats.set(rayMatrix(view), 32);
  floats.set(rig.sky, 44);
  floats.set(rig.ground, 48);
  floats.set(background ? [...background, 1] : [0, 0, 0, 0], 52);
  floats[56] = rig.exposure;
  new Uint32Array(frame)[57] = rig.lights.length;
  floats[58] = shadow ? 1 / shadow.size : 0;
  floats[59] = shadow?.texelMetres ?? 0;
  return frame;
}

/** Positions are relative to `origin`; there is room for one light at least. */
export function lightRecords(rig: LightRig, origin: readonly number[]): ArrayBuffer {
  const lights = new ArrayBuffer(Math.max(1, rig.lights.length) * LIGHT_BYTES);
  rig.lights.forEach((light, i) => {
    const values = new Float32Array(lights, i * LIGHT_BYTES, LIGHT_BYTES / 4);
    const integers = new Uint32Array(lights, i * LIGHT_BYTES, LIGHT_BYTES / 4);
    values.set(light.position.map((value, axis) => value - origin[axis]));
    values[3] = Number.isFinite(light.range) ? light.range : 1e18;
    values.set(light.direction, 4);
    integers[7] = KINDS[light.type];
    values.set(
      light.color.map((value) => value * light.intensity),
      8,
    );
    values[11] = Math.cos(light.outerCone);
    values[12] = Math.cos(light.innerCone);
    integers[13] = light.castsShadow && light.type === 'directional' ? 1 : 0;
  });
  return lights;
}
