/**
 * Furniture of our own making: a chest of drawers, a cupboard with a door, a table. Fronts face +z at z = 0, the middle is
 * at x = 0, and the floor is at y = 0. Hollow pieces are made of boards, so a drawer or door shows what is inside.
 */
import type { Vec3 } from '@dwm/renderer';
import { Random } from '../random.ts';
import { at, box, type SceneBuilder, solid } from './builder.ts';
import { boards, type Palette, shade } from './look.ts';
import type { Color } from './mesh.ts';
import type { Solid } from './solid.ts';
import type { Body, Grip } from './world.ts';

/** What of a piece of furniture others need to know. */
interface Furniture {
  /** The part that the action is for. */
  readonly actor: Body;
  /** Horizontal surface on which things can stand: its height, half width, front and back z. */
  readonly top: Surface;
}

export interface Surface {
  readonly y: number;
  readonly halfWidth: number;
  readonly front: number;
  readonly back: number;
}

interface Board {
  readonly half: Vec3;
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly color?: Color | ((point: Vec3) => Color);
}

const boardSolid = ({ half, x, y, z }: Board): Solid => solid(box(...half), x, y, z);

/** A fixed body of boards. */
function carcass(scene: SceneBuilder, name: string, parts: readonly Board[], color: Board['color']): void {
  scene.add({ name, motion: 'fixed', place: at(0, 0, 0), solids: parts.map(boardSolid) }, (mesh) => {
    for (const part of parts) mesh.box(part.half, part.color ?? color!, at(part.x, part.y, part.z), 4);
  });
}

interface Handle {
  readonly boards: readonly Board[];
  readonly ball?: { readonly radius: number; readonly at: Vec3 };
  readonly grip: Grip;
}

/** A bar on two posts or a knob, on a front that faces +z at `z`. */
function handle(random: Random, x: number, y: number, z: number, upright: boolean, color: Color): Handle {
  const standoff = random.uniform(0.036, 0.044);
  if (random.chance(0.3)) {
    const radius = random.uniform(0.014, 0.019);
    const centre: Vec3 = [x, y, z + standoff];
    return {
      boards: [{ half: [0.006, 0.006, standoff / 2], x, y, z: z + standoff / 2, color }],
      ball: { radius, at: centre },
      grip: {
        point: centre,
        forward: [0, -0.25, -0.97],
        roll: 'palm',
        up: [0, 1, 0],
        posture: 'pinch',
        radius,
        solids: [solid({ kind: 'ball', radius }, ...centre)],
      },
    };
  }
  const [length, thick] = [random.uniform(0.055, 0.085), random.uniform(0.0055, 0.0075)];
  const along = (by: number): [number, number] => (upright ? [x, y + by] : [x + by, y]);
  const bar: Vec3 = upright ? [thick, length, thick] : [length, thick, thick];
  const posts = [-0.85, 0.85].map((side): Board => {
    const [px, py] = along(side * length);
    return { half: [thick, thick, standoff / 2], x: px, y: py, z: z + standoff / 2, color };
  });
  return {
    boards: [{ half: bar, x, y, z: z + standoff, color }, ...posts],
    grip: {
      point: [x, y, z + standoff],
      forward: upright ? [0, 0, -1] : [0, -0.2, -0.98],
      roll: upright ? 'thumb' : 'palm',
      up: [0, 1, 0],
      posture: 'hook',
      radius: thick,
      solids: [solid(box(...bar), x, y, z + standoff)],
    },
  };
}

const drawerWords = (index: number, count: number) =>
  `the ${count === 2 ? ['top', 'lower'][index] : ['top', 'second', 'bottom'][index]} drawer`;

/** Two or three drawers above each other; one of them is the actor. */
export function addDrawers(scene: SceneBuilder, random: Random, colors: Palette, open: boolean): Furniture {
  const halfWidth = random.uniform(0.2, 0.29);
  const depth = random.uniform(0.42, 0.5);
  const count = random.integer(2, 3);
  const front = random.uniform(0.13, 0.19);
  const gap = 0.008;
  const wall = 0.016;
  const height = random.uniform(0.84, 0.98);
  const topHalf = 0.015;
  const drawersTop = height - 2 * topHalf - gap;
  const bottom = drawersTop - count * (front + gap);
  const grain = boards(random, colors.furniture, random.integer(0, 1), random.uniform(0.04, 0.12));
  carcass(
    scene,
    'chest',
    [
      {
        half: [halfWidth + wall + 0.012, topHalf, depth / 2 + 0.012],
        x: 0,
        y: height - topHalf,
        z: -depth / 2 + 0.012,
        color: boards(random, colors.top, 0, 0.12),
      },
      ...[-1, 1].map(
        (side): Board => ({
          half: [wall / 2, height / 2 - topHalf, depth / 2],
          x: side * (halfWidth + wall / 2 + 0.003),
          y: height / 2 - topHalf,
          z: -depth / 2,
        }),
      ),
      {
        half: [halfWidth, height / 2 - topHalf, 0.006],
        x: 0,
        y: height / 2 - topHalf,
        z: -depth + 0.006,
        color: colors.inside,
      },
      // Below the drawers it is closed.
      { half: [halfWidth, Math.max(0.01, bottom / 2), depth / 2 - 0.01], x: 0, y: bottom / 2, z: -depth / 2 },
    ],
    grain,
  );
  const which = random.integer(0, Math.min(1, count - 1));
  const reach = Math.min(depth - 0.12, random.uniform(0.2, 0.31));
  const style = random.next() * 2 ** 32;
  let actor: Body | undefined;
  for (let i = 0; i < count; i++) {
    const y = drawersTop - front / 2 - i * (front + gap);
    const [hw, hh, hd] = [halfWidth - 0.004, front / 2, depth / 2 - 0.025];
    const thick = 0.008;
    // All handles of a chest are alike.
    const grab = handle(new Random(style), 0, 0, thick, false, colors.handle);
    const inner = hh * 0.75;
    const drawer: Board[] = [
      { half: [hw, hh, thick], x: 0, y: 0, z: 0 },
      ...[-1, 1].map(
        (side): Board => ({
          half: [0.006, inner, hd],
          x: side * (hw - 0.014),
          y: inner - hh + 0.012,
          z: -hd,
          color: colors.inside,
        }),
      ),
      { half: [hw - 0.014, inner, 0.006], x: 0, y: inner - hh + 0.012, z: -2 * hd, color: colors.inside },
      { half: [hw - 0.014, 0.005, hd], x: 0, y: -hh + 0.014, z: -hd, color: shade(colors.inside, 1.15) },
    ];
    const acts = i === which;
    const body = scene.add(
      {
        name: scene.name('drawer'),
        words: drawerWords(i, count),
        motion: {
          kind: 'prismatic',
          axis: [0, 0, 1],
          anchor: [0, y, 0],
          limits: [0, reach + 0.02],
          opening: acts && open ? reach : 0,
          damping: 14,
        },
        place: at(0, y, 0.004),
        solids: [...drawer, ...grab.boards]
          .map(boardSolid)
          .concat(grab.ball ? [solid({ kind: 'ball', radius: grab.ball.radius }, ...grab.ball.at)] : []),
        density: 250,
        grips: [grab.grip],
      },
      (mesh) => {
        for (const part of drawer) mesh.box(part.half, part.color ?? grain, at(part.x, part.y, part.z), 4);
        for (const part of grab.boards) mesh.box(part.half, part.color!, at(part.x, part.y, part.z));
        if (grab.ball)
          mesh.ball(grab.ball.radius, colors.handle, { position: grab.ball.at, rotation: [0, 0, 0, 1] });
      },
    );
    if (acts) actor = body;
  }
  return {
    actor: actor!,
    top: { y: height, halfWidth: halfWidth + 0.01, front: 0, back: -depth + 0.03 },
  };
}

/** A cupboard with one door, hinged left or right, and a shelf with things behind it. */
export function addCupboard(
  scene: SceneBuilder,
  random: Random,
  colors: Palette,
  open: boolean,
): Furniture & { readonly inside: Surface } {
  const halfWidth = random.uniform(0.17, 0.23);
  const depth = random.uniform(0.3, 0.4);
  const tall = random.uniform(0.44, 0.58);
  const bottom = random.uniform(0.55, 0.7);
  const wall = 0.016;
  const middle = bottom + tall / 2;
  const grain = boards(random, colors.furniture, 0, random.uniform(0.05, 0.15));
  const shelf = bottom + wall + (tall - 2 * wall) * random.uniform(0.38, 0.5);
  const inside: Board[] = [
    { half: [halfWidth, tall / 2, 0.006], x: 0, y: middle, z: -depth + 0.006, color: colors.inside },
    {
      half: [halfWidth - 0.004, 0.008, depth / 2 - 0.02],
      x: 0,
      y: shelf,
      z: -depth / 2 - 0.02,
      color: shade(colors.inside, 1.2),
    },
  ];
  carcass(
    scene,
    'cupboard',
    [
      {
        half: [halfWidth + wall, wall / 2, depth / 2],
        x: 0,
        y: bottom + tall + wall / 2,
        z: -depth / 2,
        color: colors.top,
      },
      {
        half: [halfWidth, wall / 2, depth / 2],
        x: 0,
        y: bottom + wall / 2,
        z: -depth / 2,
        color: colors.inside,
      },
      ...[-1, 1].map(
        (side): Board => ({
          half: [wall / 2, tall / 2, depth / 2],
          x: side * (halfWidth + wall / 2),
          y: middle,
          z: -depth / 2,
        }),
      ),
      { half: [halfWidth + wall, bottom / 2, depth / 2], x: 0, y: bottom / 2, z: -depth / 2 },
      ...inside,
    ],
    grain,
  );
  // -1: hinged left, the handle is on the right.
  const hinge = random.sign();
  const thick = 0.009;
  const half: Vec3 = [halfWidth + 0.006, tall / 2 - 0.004, thick];
  const grab = handle(
    random,
    -hinge * (half[0] - 0.035),
    random.uniform(-0.04, 0.1),
    thick,
    true,
    colors.handle,
  );
  const panel: Board = {
    half: [half[0] * 0.72, half[1] * 0.78, 0.002],
    x: 0,
    y: 0,
    z: thick,
    color: shade(colors.furniture, random.uniform(0.7, 0.9)),
  };
  const leaf: Board[] = [{ half, x: 0, y: 0, z: 0 }, panel];
  const most = random.uniform(1.25, 1.6);
  const actor = scene.add(
    {
      name: 'door',
      words: 'the cupboard door',
      motion: {
        kind: 'revolute',
        axis: [0, hinge, 0],
        anchor: [hinge * half[0], middle, 0.012 - thick],
        limits: [0, most + 0.05],
        opening: open ? most : 0,
        damping: 10,
      },
      place: at(0, middle, 0.012),
      solids: [...leaf, ...grab.boards]
        .map(boardSolid)
        .concat(grab.ball ? [solid({ kind: 'ball', radius: grab.ball.radius }, ...grab.ball.at)] : []),
      density: 150,
      grips: [grab.grip],
    },
    (mesh) => {
      for (const part of leaf) mesh.box(part.half, part.color ?? grain, at(part.x, part.y, part.z), 6);
      for (const part of grab.boards) mesh.box(part.half, part.color!, at(part.x, part.y, part.z));
      if (grab.ball)
        mesh.ball(grab.ball.radius, colors.handle, { position: grab.ball.at, rotation: [0, 0, 0, 1] });
    },
  );
  return {
    actor,
    top: { y: bottom + tall + wall, halfWidth: halfWidth + 0.01, front: -0.02, back: -depth + 0.03 },
    inside: { y: shelf + 0.008, halfWidth: halfWidth - 0.05, front: -0.06, back: -depth + 0.06 },
  };
}

/** A table top on legs; its front edge is at z = 0.35, so that what is done happens near z = 0. */
export function addTable(scene: SceneBuilder, random: Random, colors: Palette): Surface {
  const y = random.uniform(0.72, 0.82);
  const [halfWidth, front, back] = [random.uniform(0.5, 0.75), 0.34, -random.uniform(0.28, 0.4)];
  const [halfDepth, middle] = [(front - back) / 2, (front + back) / 2];
  const grain = boards(random, colors.top, random.integer(0, 1) * 2, random.uniform(0.06, 0.2));
  carcass(
    scene,
    'table',
    [
      { half: [halfWidth, 0.015, halfDepth], x: 0, y: y - 0.015, z: middle, color: grain },
      ...[-1, 1].flatMap((i) =>
        [-1, 1].map(
          (j): Board => ({
            half: [0.025, (y - 0.03) / 2, 0.025],
            x: i * (halfWidth - 0.05),
            y: (y - 0.03) / 2,
            z: middle + j * (halfDepth - 0.05),
          }),
        ),
      ),
    ],
    colors.furniture,
  );
  return { y, halfWidth: halfWidth - 0.06, front: front - 0.06, back: back + 0.06 };
}
