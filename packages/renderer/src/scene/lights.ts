/**
 * What lights a scene: its own punctual lights, or, for scans and furniture that have none, a rig that shows
 * their shape without hiding their texture. Directional intensity pi makes a white surface that faces it white.
 */
import { type Matrix, normalize } from './matrix.ts';
import { type Bounds, drawnNodes, worldBounds } from './pose.ts';
import type { PunctualLight, Scene } from './scene.ts';

/** A light in the world. */
export interface PlacedLight extends PunctualLight {
  readonly position: readonly [number, number, number];
  /** Where it shines to. */
  readonly direction: readonly [number, number, number];
  readonly castsShadow: boolean;
}

/** The lights of a scene. */
export interface LightRig {
  /** At most one of them, a directional one, casts shadows. */
  readonly lights: readonly PlacedLight[];
  /** Radiance from above (+y) and from below, linear RGB; in between it is blended by height. */
  readonly sky: readonly number[];
  readonly ground: readonly number[];
  /** Multiplies all light. */
  readonly exposure: number;
}

const directional = (
  towards: readonly number[],
  intensity: number,
  color: readonly number[],
  castsShadow: boolean,
): PlacedLight => ({
  type: 'directional',
  color,
  intensity,
  range: Infinity,
  innerCone: 0,
  outerCone: 0,
  position: [0, 0, 0],
  direction: normalize(towards),
  castsShadow,
});

/**
 * A warm key light with a shadow, two cool fills that keep walls of a closed room apart, and a bright sky. Up is
 * +y. White surfaces stay between 0.5 and 1, so textures with baked light keep their look.
 */
export const STUDIO: LightRig = {
  lights: [
    directional([-0.45, -1, -0.6], 1.15, [1, 0.97, 0.92], true),
    directional([0.9, -0.25, 0.35], 0.5, [0.92, 0.96, 1], false),
    directional([-0.3, -0.1, 0.95], 0.3, [0.95, 0.97, 1], false),
  ],
  sky: [0.62, 0.64, 0.66],
  ground: [0.44, 0.42, 0.4],
  exposure: 1,
};

/**
 * The scene's own lights with a dim sky, or `STUDIO` where it has none. Exporters write photometric intensities
 * (thousands of lux) as well as small numbers, so exposure goes down until the middle of the scene is not
 * brighter than white.
 */
export function defaultRig(scene: Scene, worlds: readonly Matrix[]): LightRig {
  const lights = placedLights(scene, worlds);
  const bounds = worldBounds(scene, worlds);
  if (lights.length === 0 || !bounds) return STUDIO;
  const brightest = lights.reduce(
    (best, { type, intensity }, i) =>
      type === 'directional' && intensity > (lights[best]?.intensity ?? 0) ? i : best,
    -1,
  );
  const exposure = Math.min(1, Math.PI / lights.reduce((sum, light) => sum + illuminance(light, bounds), 0));
  // The ambient term is not to grow and shrink with the unit of the lights.
  const ambient = 0.25 / exposure;
  return {
    lights: lights.map((light, i) => ({ ...light, castsShadow: i === brightest })),
    sky: [ambient, ambient, ambient * 1.05],
    ground: [ambient * 0.7, ambient * 0.68, ambient * 0.65],
    exposure,
  };
}

function placedLights(scene: Scene, worlds: readonly Matrix[]): PlacedLight[] {
  return drawnNodes(scene).flatMap((index) => {
    const { light } = scene.nodes[index];
    if (light < 0) return [];
    const m = worlds[index];
    return [
      {
        ...scene.lights[light],
        position: [m[3], m[7], m[11]] as const,
        direction: normalize([-m[2], -m[6], -m[10]]),
        castsShadow: false,
      },
    ];
  });
}

/** Lux at the scene's middle, but not nearer to a lamp than a quarter of the scene's size. */
function illuminance({ type, intensity, position }: PlacedLight, { min, max }: Bounds): number {
  if (type === 'directional') return intensity;
  const size = Math.hypot(...max.map((value, i) => value - min[i]));
  const distance = Math.hypot(...position.map((value, i) => value - (min[i] + max[i]) / 2));
  return intensity / Math.max(distance, size / 4) ** 2;
}
