/** Walls, floor, skirting, sometimes a window or a picture: what is behind the furniture. */
import type { Random } from '../random.ts';
import { at, box, type SceneBuilder, solid } from './builder.ts';
import { boards, hsv, type Palette, shade, tiles, vivid } from './look.ts';

interface RoomLook {
  /** Height of the floor and z of the wall behind the furniture. */
  readonly floor: number;
  readonly wall: number;
  /** Nothing hangs on the wall. */
  readonly bare?: boolean;
}

export function addRoom(
  scene: SceneBuilder,
  random: Random,
  colors: Palette,
  { floor, wall, bare = false }: RoomLook,
): void {
  const paintFloor = random.chance(0.6)
    ? boards(random, colors.floor, random.integer(0, 1) * 2, random.uniform(0.1, 0.25))
    : tiles(colors.floor, random.uniform(0.2, 0.4), random.uniform(0.6, 0.9));
  scene.add(
    { name: 'floor', motion: 'fixed', place: at(0, floor - 0.05, 1), solids: [solid(box(4, 0.05, 4))] },
    (mesh) => mesh.box([3, 0.05, 3], paintFloor, undefined, 24),
  );
  const paintWall = random.chance(0.35)
    ? boards(random, colors.wall, 0, random.uniform(0.15, 0.4))
    : () => colors.wall;
  scene.add(
    {
      name: 'wall',
      motion: 'fixed',
      place: at(0, floor + 1.3, wall - 0.05),
      solids: [solid(box(4, 1.3, 0.05))],
    },
    (mesh) => {
      mesh.box([3, 1.3, 0.05], paintWall, undefined, 20);
      mesh.box([3, 0.05, 0.012], shade(colors.wall, 0.5), at(0, -1.25, 0.06));
    },
  );
  const x = random.sign() * random.uniform(0.15, 0.5);
  const y = floor + random.uniform(1.25, 1.5);
  const kind = random.pick(['picture', 'window', 'nothing'] as const);
  if (kind === 'nothing' || bare) return;
  const half: [number, number, number] = [random.uniform(0.1, 0.22), random.uniform(0.1, 0.2), 0.012];
  scene.add(
    {
      name: kind,
      motion: 'fixed',
      place: at(x, y, wall + 0.012),
      solids: [],
      surface: { roughness: 0.9, emissive: kind === 'window' ? [0.25, 0.3, 0.35] : [0, 0, 0] },
    },
    (mesh) => {
      const frame = kind === 'window' ? hsv(0, 0, 0.95) : shade(colors.handle, 0.8);
      mesh.box(half, frame);
      const pane: [number, number, number] = [half[0] * 0.42, half[1] * 0.42, 0.014];
      for (const i of [-1, 1])
        for (const j of [-1, 1])
          mesh.box(
            pane,
            kind === 'window' ? hsv(0.57, 0.25, 1) : vivid(random),
            at(i * half[0] * 0.46, j * half[1] * 0.46, 0),
          );
    },
  );
}
