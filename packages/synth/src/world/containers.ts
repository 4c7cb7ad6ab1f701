/** Smaller furniture that opens, switches or holds things: a box with a lid, a wall panel with a lever, a bowl, a pitcher. */
import { rotations, type Vec3 } from '@dwm/renderer';
import type { Random } from '../random.ts';
import { at, box, type SceneBuilder, solid } from './builder.ts';
import { boards, hsv, type Palette, shade, vivid } from './look.ts';
import type { Color } from './mesh.ts';
import { colorName } from './objects.ts';
import type { Placement, Solid } from './solid.ts';
import type { Body, Grip } from './world.ts';

const knobGrip = (point: Vec3, radius: number, forward: Vec3): Grip => ({
  point,
  forward,
  roll: 'palm',
  up: [0, 1, 0],
  posture: 'pinch',
  radius,
  solids: [solid({ kind: 'ball', radius }, ...point)],
});

/** Where it stands, and what is inside. */
interface Chest {
  readonly actor: Body;
  readonly floor: number;
  readonly halfWidth: number;
  readonly halfDepth: number;
}

/** A box on a surface whose lid is hinged at the back and has a knob in front. */
export function addChest(
  scene: SceneBuilder,
  random: Random,
  colors: Palette,
  [x, y, z]: Vec3,
  open: boolean,
): Chest {
  const [w, d, h] = [random.uniform(0.1, 0.14), random.uniform(0.07, 0.095), random.uniform(0.04, 0.055)];
  const wall = 0.006;
  const grain = boards(random, colors.furniture, 0, random.uniform(0.03, 0.08));
  const parts: readonly (readonly [Vec3, Vec3])[] = [
    [
      [w, wall, d],
      [0, wall, 0],
    ],
    [
      [wall, h, d],
      [-w + wall, h, 0],
    ],
    [
      [wall, h, d],
      [w - wall, h, 0],
    ],
    [
      [w, h, wall],
      [0, h, -d + wall],
    ],
    [
      [w, h, wall],
      [0, h, d - wall],
    ],
  ];
  scene.add(
    {
      name: 'chest',
      motion: 'fixed',
      place: at(x, y, z),
      solids: parts.map(([half, p]) => solid(box(...half), ...p)),
    },
    (mesh) => {
      parts.forEach(([half, p], i) => {
        mesh.box(half, i === 0 ? colors.inside : grain, at(...p), 3);
      });
    },
  );
  const thick = random.uniform(0.007, 0.011);
  const lidColor = random.chance(0.5) ? colors.top : shade(colors.furniture, random.uniform(0.75, 1.2));
  const radius = random.uniform(0.012, 0.016);
  const knob: Vec3 = [0, 0, d + 0.032];
  const most = random.uniform(1, 1.35);
  const half: Vec3 = [w + 0.006, thick, d + 0.006];
  const lid = boards(random, lidColor, 0, 0.06);
  const actor = scene.add(
    {
      name: 'lid',
      words: 'the lid of the box',
      motion: {
        kind: 'revolute',
        axis: [-1, 0, 0],
        anchor: [x, y + 2 * h + thick, z - d],
        limits: [0, most + 0.05],
        opening: open ? most : 0,
        damping: 12,
      },
      place: at(x, y + 2 * h + thick, z),
      solids: [
        solid(box(...half)),
        solid(box(0.005, 0.005, 0.016), 0, 0, d + 0.016),
        solid({ kind: 'ball', radius }, ...knob),
      ],
      density: 150,
      grips: [knobGrip(knob, radius, [0, -0.45, -0.9])],
    },
    (mesh) => {
      mesh.box(half, lid, undefined, 3);
      mesh.box([0.005, 0.005, 0.016], colors.handle, at(0, 0, d + 0.016));
      mesh.ball(radius, colors.handle, at(...knob));
    },
  );
  return { actor, floor: y + 2 * wall, halfWidth: w - 0.05, halfDepth: d - 0.05 };
}

/** A panel on the wall at z = 0 with a lever that goes up and down. */
export function addLever(
  scene: SceneBuilder,
  random: Random,
  [x, y]: readonly [number, number],
  up: boolean,
): Body {
  const panel: Vec3 = [random.uniform(0.06, 0.1), random.uniform(0.1, 0.14), 0.012];
  const plate = random.chance(0.5) ? hsv(0, 0, random.uniform(0.6, 0.9)) : vivid(random);
  scene.add(
    { name: 'panel', motion: 'fixed', place: at(x, y, 0.012), solids: [solid(box(...panel))] },
    (mesh) => {
      mesh.box(panel, plate);
      mesh.box([0.012, panel[1] * 0.7, 0.0125], shade(plate, 0.15));
      for (const side of [-1, 1])
        mesh.box(
          [0.014, 0.014, 0.014],
          side > 0 ? [0.05, 0.5, 0.1] : [0.6, 0.04, 0.04],
          at(panel[0] * 0.65, side * panel[1] * 0.7, 0),
        );
    },
  );
  const length = random.uniform(0.1, 0.13);
  const swing = random.uniform(0.5, 0.75);
  const radius = random.uniform(0.016, 0.02);
  const arm = random.uniform(0.006, 0.009);
  const tip: Vec3 = [0, 0, length];
  const metal = hsv(random.next(), 0.1, random.uniform(0.3, 0.8));
  const color = vivid(random);
  return scene.add(
    {
      name: 'lever',
      motion: {
        kind: 'revolute',
        axis: [-1, 0, 0],
        anchor: [x, y, 0.02],
        limits: [0, 2 * swing],
        opening: up ? 2 * swing : 0,
        damping: 14,
      },
      place: at(x, y, 0.02, rotations.fromAxisAngle([swing, 0, 0])),
      solids: [solid(box(arm, arm, length / 2), 0, 0, length / 2), solid({ kind: 'ball', radius }, ...tip)],
      density: 400,
      grips: [knobGrip(tip, radius, [0, -0.1, -1])],
    },
    (mesh) => {
      mesh.box([arm, arm, length / 2], metal, at(0, 0, length / 2));
      mesh.ball(radius, color, at(...tip));
    },
  );
}

/** Walls of a vessel as an octagon of boxes. */
function staves(radius: number, height: number, thick: number): Solid[] {
  const width = (radius + thick) * Math.tan(Math.PI / 8);
  return Array.from({ length: 8 }, (_, i) => {
    const angle = (i * Math.PI) / 4;
    const away = radius + thick / 2;
    return solid(
      box(thick / 2, height / 2, width),
      away * Math.cos(angle),
      height / 2,
      -away * Math.sin(angle),
      rotations.fromAxisAngle([0, angle, 0]),
    );
  });
}

function vesselProfile(foot: number, rim: number, height: number, wall: number): [number, number][] {
  return [
    [0, 0],
    [foot, 0],
    [rim, height],
    [rim - wall, height],
    [foot - wall, wall],
    [0, wall],
  ];
}

/** A bowl that stands where it is. */
export function addBowl(scene: SceneBuilder, random: Random, place: Placement): Body {
  const [radius, height] = [random.uniform(0.065, 0.08), random.uniform(0.04, 0.055)];
  const color = vivid(random);
  const solids = [
    ...staves(radius - 0.012, height, 0.012),
    solid({ kind: 'cylinder', radius, halfHeight: 0.004 }, 0, 0.004),
  ];
  return scene.add({ name: 'bowl', motion: 'fixed', place, solids }, (mesh) => {
    mesh.lathe(vesselProfile(radius * 0.85, radius, height, 0.008), color);
  });
}

interface Pitcher {
  readonly body: Body;
  readonly beads: readonly Body[];
  readonly height: number;
}

/** A jug with beads in it. */
export function addPitcher(scene: SceneBuilder, random: Random, [x, y, z]: Vec3): Pitcher {
  const [radius, height] = [random.uniform(0.031, 0.034), random.uniform(0.115, 0.135)];
  const color = vivid(random);
  const solids = [
    ...staves(radius, height, 0.008),
    solid({ kind: 'cylinder', radius: radius + 0.004, halfHeight: 0.005 }, 0, 0.005),
  ];
  const outside: Solid = solid(
    { kind: 'cylinder', radius: radius + 0.008, halfHeight: height / 2 },
    0,
    height / 2,
  );
  const body = scene.add(
    {
      name: 'pitcher',
      words: `the ${colorName(color)} pitcher`,
      motion: 'loose',
      place: at(x, y, z),
      solids,
      density: 500,
      friction: 0.3,
      surface: { roughness: 0.35 },
      grips: [
        {
          point: [0, height * 0.5, 0],
          forward: [0, 0, -1],
          roll: 'thumb',
          up: [0, 1, 0],
          posture: 'wrap',
          radius: radius + 0.008,
          solids: [outside],
        },
      ],
    },
    (mesh) => {
      mesh.lathe(vesselProfile(radius + 0.006, radius + 0.008, height, 0.007), color);
      mesh.lathe(
        [
          [radius + 0.0085, height * 0.3],
          [radius + 0.0085, height * 0.4],
        ],
        shade(color, 0.4),
      );
    },
  );
  const beadColor: Color = vivid(random);
  const size = 0.012;
  const beads = Array.from({ length: 12 }, (_, i) => {
    const [layer, angle] = [Math.floor(i / 3), (i % 3) * 2.1 + Math.floor(i / 3)];
    return scene.add(
      {
        name: scene.name('bead'),
        motion: 'loose',
        place: at(x + 0.0155 * Math.cos(angle), y + 0.025 + layer * 0.024, z + 0.0155 * Math.sin(angle)),
        solids: [solid({ kind: 'ball', radius: size })],
        density: 600,
        friction: 0.25,
        surface: { roughness: 0.3 },
      },
      (mesh) => mesh.ball(size, shade(beadColor, random.uniform(0.8, 1.1))),
    );
  });
  return { body, beads, height };
}
