/** Colours, patterns and light of a room, drawn from a seed. All colours are linear RGB. */
import { rotations, type Vec3 } from '@dwm/renderer';
import type { LightRig } from '@dwm/renderer/scene';
import type { Random } from '../random.ts';
import type { Color } from './mesh.ts';

/** From hue (turns), saturation and value, as displayed, to linear. */
export function hsv(hue: number, saturation: number, value: number): Color {
  const channel = (offset: number) => {
    const k = (offset + hue * 6) % 6;
    const shown = value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1));
    return shown <= 0.04045 ? shown / 12.92 : ((shown + 0.055) / 1.055) ** 2.4;
  };
  return [channel(5), channel(3), channel(1)];
}

export const shade = ([r, g, b]: Color, factor: number): Color => [r * factor, g * factor, b * factor];

export interface Palette {
  readonly wall: Color;
  readonly floor: Color;
  /** The main piece of furniture, its inside, and its handles. */
  readonly furniture: Color;
  readonly inside: Color;
  readonly handle: Color;
  readonly top: Color;
}

export function palette(random: Random): Palette {
  const wood = () => hsv(random.uniform(0.055, 0.1), random.uniform(0.35, 0.65), random.uniform(0.4, 0.85));
  const paint = () => hsv(random.next(), random.uniform(0.05, 0.45), random.uniform(0.5, 0.95));
  const furniture = random.chance(0.55) ? wood() : paint();
  const bright = 0.3 * furniture[0] + 0.6 * furniture[1] + 0.1 * furniture[2] > 0.25;
  return {
    wall: hsv(random.next(), random.uniform(0.02, 0.3), random.uniform(0.6, 0.95)),
    floor: random.chance(0.6)
      ? wood()
      : hsv(random.next(), random.uniform(0, 0.25), random.uniform(0.3, 0.7)),
    furniture,
    // What opens is seen to be open, and nobody could foresee a colour that follows from nothing in sight.
    inside: bright ? shade(furniture, 0.35) : hsv(0.1, 0.2, 0.85),
    // Handles stand out from what they are on.
    handle: bright
      ? hsv(random.next(), random.uniform(0, 0.5), random.uniform(0.08, 0.3))
      : hsv(random.next(), random.uniform(0, 0.3), random.uniform(0.8, 0.95)),
    top: random.chance(0.5)
      ? wood()
      : hsv(random.next(), random.uniform(0, 0.15), random.uniform(0.45, 0.95)),
  };
}

/** A strong colour for a small thing. */
export const vivid = (random: Random): Color =>
  hsv(random.next(), random.uniform(0.45, 0.9), random.uniform(0.5, 0.95));

/** Boards of slightly different brightness along an axis. */
export function boards(random: Random, color: Color, axis: number, width: number): (point: Vec3) => Color {
  const factors = Array.from({ length: 16 }, () => random.uniform(0.8, 1.15));
  return (point) => shade(color, factors[((Math.floor(point[axis] / width) % 16) + 16) % 16]);
}

/** Checks of two brightnesses in the x z plane. */
export const tiles =
  (color: Color, width: number, contrast: number) =>
  ([x, , z]: Vec3): Color =>
    shade(color, (Math.floor(x / width) + Math.floor(z / width)) % 2 === 0 ? 1 : contrast);

/** Sun or lamp with a shadow from behind or beside the viewer, a fill, and the sky through the windows. */
export function lighting(random: Random): LightRig {
  const warmth = random.uniform(-0.08, 0.12);
  const key = random.uniform(0.9, 1.7);
  const side = random.sign();
  const towards = rotations.direction([
    side * random.uniform(0.15, 0.8),
    -random.uniform(0.7, 1.3),
    -random.uniform(0.25, 0.9),
  ])!;
  const fill = rotations.direction([-side * 0.8, -0.3, random.uniform(-0.6, 0.2)])!;
  const ambient = random.uniform(0.35, 0.6);
  const directional = (direction: Vec3, intensity: number, color: Color, castsShadow: boolean) => ({
    type: 'directional' as const,
    color,
    intensity,
    range: Infinity,
    innerCone: 0,
    outerCone: 0,
    position: [0, 0, 0] as Vec3,
    direction,
    castsShadow,
  });
  return {
    lights: [
      directional(towards, key, [1, 1 - warmth * 0.5, 1 - warmth], true),
      directional(fill, random.uniform(0.2, 0.45), [0.95, 0.97, 1], false),
    ],
    sky: [ambient, ambient * 1.01, ambient * 1.04],
    ground: [ambient * 0.7, ambient * 0.67, ambient * 0.63],
    exposure: 1,
  };
}
