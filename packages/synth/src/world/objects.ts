/** Loose things that stand on surfaces: cups, bottles, boxes, books, balls, a user's parts. Their origin is in the middle of their foot. */
import type { Vec3 } from '@dwm/renderer';
import type { Random } from '../random.ts';
import { at, box, type SceneBuilder, solid, UPRIGHT, yaw } from './builder.ts';
import { hsv, shade, vivid } from './look.ts';
import type { Color } from './mesh.ts';
import { fitsOneHand, type Part } from './parts.ts';
import type { Placement, Shape, Solid } from './solid.ts';
import type { Body, Grip } from './world.ts';

export const THINGS = ['cup', 'bottle', 'box', 'carton', 'book', 'ball', 'can'] as const;
export type Thing = (typeof THINGS)[number];

/** Half sizes, from and to, metres. */
const BOXES = {
  box: [
    [0.03, 0.04],
    [0.045, 0.07],
    [0.018, 0.026],
  ],
  carton: [
    [0.026, 0.032],
    [0.075, 0.095],
    [0.016, 0.022],
  ],
  book: [
    [0.05, 0.07],
    [0.012, 0.02],
    [0.06, 0.08],
  ],
} as const;

const COLOR_NAMES: readonly (readonly [string, number])[] = [
  ['red', 0],
  ['orange', 0.08],
  ['yellow', 0.15],
  ['green', 0.33],
  ['cyan', 0.5],
  ['blue', 0.62],
  ['purple', 0.77],
  ['pink', 0.9],
  ['red', 1],
];

/** What people call the colour. */
export function colorName(color: Color): string {
  // Linear light back to what is displayed.
  const [r, g, b] = color.map((value) => value ** (1 / 2.2));
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  if (most - least < 0.12 * most) return most > 0.8 ? 'white' : most > 0.3 ? 'grey' : 'black';
  const span = most - least;
  const sixth = most === r ? ((g - b) / span + 6) % 6 : most === g ? (b - r) / span + 2 : (r - g) / span + 4;
  const hue = sixth / 6;
  return COLOR_NAMES.reduce((best, entry) =>
    Math.abs(entry[1] - hue) < Math.abs(best[1] - hue) ? entry : best,
  )[0];
}

export interface Made {
  readonly body: Body;
  /** Metres. */
  readonly radius: number;
  readonly height: number;
}

/** How a round thing is taken: around its side. */
const around = (radius: number, height: number, solids: readonly Solid[]): Grip => ({
  point: [0, Math.max(0.052, Math.min(height * 0.6, 0.09)), 0],
  forward: [0, 0, -1],
  roll: 'thumb',
  up: [0, 1, 0],
  posture: 'wrap',
  radius,
  solids,
});

/** How a box is taken: from above, across its narrow side. */
const fromAbove = (half: Vec3, solids: readonly Solid[]): Grip => ({
  point: [0, 2 * half[1] - 0.02, 0],
  forward: [0, -0.3, -0.95],
  roll: 'palm',
  up: [0, 1, 0],
  posture: 'pinch',
  radius: half[2],
  solids,
});

/** A box for two hands. */
export function addCrate(scene: SceneBuilder, random: Random, [x, y, z]: Vec3): Made {
  const half: Vec3 = [random.uniform(0.085, 0.11), random.uniform(0.06, 0.08), random.uniform(0.06, 0.08)];
  const color = random.chance(0.5)
    ? hsv(0.08, random.uniform(0.3, 0.5), random.uniform(0.55, 0.8))
    : vivid(random);
  const solids = [solid(box(...half), 0, half[1])];
  const body = scene.add(
    {
      name: scene.name('crate'),
      words: 'the box',
      motion: 'loose',
      place: at(x, y, z),
      solids,
      density: 120,
    },
    (mesh) => {
      mesh.box(half, color, at(0, half[1], 0));
      mesh.box([half[0] * 0.15, half[1] * 1.005, half[2] * 1.005], vivid(random), at(0, half[1], 0));
    },
  );
  return { body, radius: half[0], height: 2 * half[1] };
}

/** A user's thing, as large as it is; it is turned about the vertical where one hand can take it. */
function addPart(scene: SceneBuilder, random: Random, part: Part, [x, y, z]: Vec3): Made {
  const { half, round } = part;
  const [radius, height] = [half[0], 2 * half[1]];
  const shape: Shape = round ? { kind: 'cylinder', radius, halfHeight: half[1] } : box(...half);
  const solids = [solid(shape, 0, half[1])];
  const oneHand = fitsOneHand(part);
  const body = scene.addModel(
    {
      name: scene.name(part.name),
      words: `the ${part.words}`,
      motion: 'loose',
      place: at(x, y, z, oneHand ? yaw(random.uniform(-0.35, 0.35)) : UPRIGHT),
      solids,
      density: 200,
      ...(oneHand && { grips: [round ? around(radius, height, solids) : fromAbove(half, solids)] }),
    },
    part,
  );
  return { body, radius, height };
}

/** @param foot where it stands; it is turned about the vertical. `big` and `factor` are for our own things. */
export function addThing(
  scene: SceneBuilder,
  random: Random,
  kind: Thing | Part,
  foot: Vec3,
  big = false,
  factor = 1,
): Made {
  if (typeof kind === 'object') return addPart(scene, random, kind, foot);
  const color = vivid(random);
  const scale = factor * (big ? random.uniform(1.05, 1.35) : random.uniform(0.8, 1.1));
  const words = `the ${colorName(color)} ${kind}`;
  const name = scene.name(kind);
  const place: Placement = at(foot[0], foot[1], foot[2], yaw(random.uniform(-0.35, 0.35)));
  const make = (
    radius: number,
    height: number,
    body: Omit<Parameters<SceneBuilder['add']>[0], 'name' | 'words' | 'motion' | 'place'>,
    draw: Parameters<SceneBuilder['add']>[1],
  ): Made => ({
    body: scene.add(
      { name, words, motion: 'loose', place, grips: [around(radius, height, body.solids)], ...body },
      draw,
    ),
    radius,
    height,
  });
  switch (kind) {
    case 'cup':
    case 'can': {
      const radius = random.uniform(0.03, 0.038) * scale;
      const height = (kind === 'cup' ? random.uniform(0.085, 0.1) : random.uniform(0.1, 0.125)) * scale;
      const solids = [solid({ kind: 'cylinder', radius, halfHeight: height / 2 }, 0, height / 2)];
      return make(radius, height, { solids, density: 350, surface: { roughness: 0.4 } }, (mesh) => {
        if (kind === 'can') {
          mesh.cylinder(radius, height / 2, color, at(0, height / 2, 0));
          mesh.cylinder(radius * 1.01, height * 0.14, shade(color, 0.35), at(0, height * 0.55, 0));
          return;
        }
        const wall = 0.004;
        mesh.lathe(
          [
            [0, 0],
            [radius * 0.92, 0],
            [radius, height],
            [radius - wall, height],
            [radius * 0.92 - wall, 0.006],
            [0, 0.006],
          ],
          color,
        );
        mesh.lathe(
          [
            [radius - wall, height * 0.8],
            [0, height * 0.8],
          ],
          shade(color, 0.25),
        );
      });
    }
    case 'bottle': {
      const radius = random.uniform(0.027, 0.034) * scale;
      const height = random.uniform(0.18, 0.22) * scale;
      const neck = radius * 0.4;
      const solids = [
        solid({ kind: 'cylinder', radius, halfHeight: height * 0.33 }, 0, height * 0.33),
        solid({ kind: 'cylinder', radius: neck, halfHeight: height * 0.17 }, 0, height * 0.83),
      ];
      return make(radius, height, { solids, density: 250, surface: { roughness: 0.25 } }, (mesh) => {
        mesh.lathe(
          [
            [0, 0],
            [radius, 0],
            [radius, height * 0.6],
            [neck, height * 0.75],
            [neck, height * 0.9],
            [0, height * 0.9],
          ],
          color,
        );
        mesh.cylinder(neck * 1.2, height * 0.05, shade(vivid(random), 0.8), at(0, height * 0.95, 0));
      });
    }
    case 'box':
    case 'carton':
    case 'book': {
      const half = BOXES[kind].map(([low, high]) => random.uniform(low, high) * scale) as unknown as Vec3;
      const solids = [solid(box(...half), 0, half[1])];
      const grips = [fromAbove(half, solids)];
      return make(Math.max(half[0], half[2]), 2 * half[1], { solids, density: 200, grips }, (mesh) => {
        mesh.box(half, color, at(0, half[1], 0));
        const band = vivid(random);
        if (kind !== 'book')
          mesh.box([half[0] * 1.01, half[1] * 0.3, half[2] * 1.01], band, at(0, half[1], 0));
        else
          mesh.box(
            [half[0] * 0.97, half[1] * 0.8, half[2] * 1.005],
            [0.8, 0.78, 0.7],
            at(half[0] * 0.04, half[1], 0),
          );
      });
    }
    case 'ball': {
      const radius = Math.min(0.042, random.uniform(0.028, 0.04) * scale);
      const solids = [solid({ kind: 'ball', radius }, 0, radius)];
      return make(radius, 2 * radius, { solids, density: 120 }, (mesh) => {
        mesh.ball(radius, color, at(0, radius, 0), vivid(random));
      });
    }
  }
}
