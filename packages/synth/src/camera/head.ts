/** The viewer's camera: at eye height before the furniture, drifting and swaying while it looks at what happens. */
import {
  cameraToWorld,
  fromFieldOfView,
  type Intrinsics,
  type Pose,
  type Quaternion,
  rotations,
  shaken,
  type TimedPose,
  type Vec3,
} from '@dwm/renderer';
import type { Random } from '../random.ts';
import type { World } from '../world/world.ts';

const { add, compose, cross, direction, fromFrame, lerp, subtract } = rotations;

interface CameraPath {
  readonly intrinsics: Intrinsics;
  readonly poses: readonly Pose<'opengl'>[];
  /** World, in every frame. */
  readonly eyes: readonly Vec3[];
}

/** OpenGL camera axes that look from `eye` to `target`, up as far up as it goes. */
function lookAt(eye: Vec3, target: Vec3): Quaternion {
  const z = direction(subtract(eye, target))!;
  const x = direction(cross([0, 1, 0], z))!;
  return fromFrame(x, cross(z, x), z);
}

export function headPath(
  random: Random,
  world: Pick<World, 'eye' | 'focus'>,
  {
    width,
    height,
    seconds,
    fixed,
  }: { width: number; height: number; seconds: readonly number[]; fixed: boolean },
): CameraPath {
  const near = (point: Vec3, by: number): Vec3 =>
    add(point, [random.uniform(-by, by), random.uniform(-by, by), random.uniform(-by, by)]);
  const intrinsics = fromFieldOfView(width, height, random.uniform(1.08, 1.32));
  const roll = random.uniform(-0.04, 0.04);
  const eyes = [near(world.eye, 0.03), near(world.eye, 0.04)];
  const targets = [near(world.focus, 0.025), near(world.focus, 0.035)];
  const seed = random.integer(0, 2 ** 31);
  const last = seconds.at(-1)!;
  const path = seconds.map((time): TimedPose => {
    const part = fixed || last === 0 ? 0 : time / last;
    const smooth = part * part * (3 - 2 * part);
    const eye = lerp(eyes[0], eyes[1], smooth);
    const look = lookAt(eye, lerp(targets[0], targets[1], smooth));
    return { seconds: time, position: eye, rotation: compose(look, rotations.fromAxisAngle([0, 0, roll])) };
  });
  const swaying = fixed ? path : shaken(path, { seed, position: 0.004, rotation: 0.007, maxFrequency: 1.2 });
  return {
    intrinsics,
    eyes: swaying.map(({ position }) => position),
    poses: swaying.map(({ position, rotation }) => {
      const axis = (v: Vec3) => rotations.rotate(rotation, v);
      const [x, y, z] = [axis([1, 0, 0]), axis([0, 1, 0]), axis([0, 0, 1])];
      return cameraToWorld(
        'opengl',
        [0, 1, 2].flatMap((row) => [x[row], y[row], z[row], position[row]]).concat([0, 0, 0, 1]),
      );
    }),
  };
}

/** Picture coordinates of a world point, 0 to 1 each way; undefined behind the camera. */
export function projected(
  { matrix: m }: Pose<'opengl'>,
  camera: Intrinsics,
  point: Vec3,
): [number, number] | undefined {
  const d = subtract(point, [m[3], m[7], m[11]]);
  const [x, y, z] = [0, 1, 2].map((column) => m[column] * d[0] + m[4 + column] * d[1] + m[8 + column] * d[2]);
  if (z > -0.01) return undefined;
  return [
    (camera.cx + (camera.fx * x) / -z) / camera.width,
    (camera.cy - (camera.fy * y) / -z) / camera.height,
  ];
}

export const rightOf = (eye: Vec3, target: Vec3): Vec3 => direction(cross(subtract(target, eye), [0, 1, 0]))!;
