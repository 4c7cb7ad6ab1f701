/**
 * A smooth camera path through a few keys. Positions follow a centripetal Catmull-Rom spline, which neither loops
 * nor cusps however unevenly the keys are spaced (Yuksel, Schaefer, Keyser, "On the parameterization of Catmull-Rom
 * curves", 2009); rotations follow squad (Shoemake, "Quaternion calculus and fast animation", 1987). Both pass through every key
 * at its time.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { bracket, type TimedPose } from './path.ts';
import {
  add,
  arc,
  compose,
  fromAxisAngle,
  inverse,
  length,
  type Quaternion,
  scale,
  subtract,
  toAxisAngle,
  type Vec3,
} from './rotation.ts';

/**
 * Poses at `times` (seconds) on the spline through `keys`; times beyond the ends give the end poses.
 * @throws InvalidArgumentError where there is no key or the keys' times do not increase.
 */
export function splinePath(keys: readonly TimedPose[], times: readonly number[]): TimedPose[] {
  if (keys.length === 0) throw new InvalidArgumentError('keys', 'empty, expected at least one pose');
  for (let i = 1; i < keys.length; i++)
    if (!(keys[i].seconds > keys[i - 1].seconds))
      throw new InvalidArgumentError(`keys[${i}].seconds`, `${keys[i].seconds}, expected increasing times`);
  const seconds = keys.map((key) => key.seconds);
  const points = keys.map((key) => key.position);
  const rotations = sameHemisphere(keys.map((key) => key.rotation));
  const controls = rotations.map((_, i) => squadControl(rotations, i));
  return times.map((time) => {
    const { from, to, at } = bracket(seconds, time);
    const inner = arc(controls[from], controls[to], at);
    return {
      seconds: time,
      position: from === to ? points[from] : catmullRom(points, from, at),
      rotation: arc(arc(rotations[from], rotations[to], at), inner, 2 * at * (1 - at)),
    };
  });
}

/** Between points[i] and points[i + 1], in cubic Hermite form. */
function catmullRom(points: readonly Vec3[], i: number, t: number): Vec3 {
  const [a, b] = [points[i], points[i + 1]];
  const chord = knot(a, b);
  const leave = tangent(points[i - 1], a, b, chord);
  // The same formula, walked backwards.
  const arrive = scale(tangent(points[i + 2], b, a, chord), -1);
  const [t2, t3] = [t * t, t * t * t];
  const ends = add(scale(a, 2 * t3 - 3 * t2 + 1), scale(b, 3 * t2 - 2 * t3));
  return add(ends, add(scale(leave, t3 - 2 * t2 + t), scale(arrive, t3 - t2)));
}

/** Centripetal knot spacing: the square root of the distance. */
const knot = (a: Vec3, b: Vec3) => Math.sqrt(length(subtract(b, a)));

/** Tangent at `b` towards `c`, scaled to a segment of length one; straight where there is no other neighbour. */
function tangent(a: Vec3 | undefined, b: Vec3, c: Vec3, chord: number): Vec3 {
  const forward = subtract(c, b);
  const before = a ? knot(a, b) : 0;
  if (!a || before === 0 || chord === 0) return forward;
  const across = scale(subtract(c, a), 1 / (before + chord));
  const back = scale(subtract(b, a), 1 / before);
  return scale(add(subtract(back, across), scale(forward, 1 / chord)), chord);
}

/** Signs chosen so that each rotation is nearest to the one before. */
function sameHemisphere(rotations: readonly Quaternion[]): Quaternion[] {
  const chosen: Quaternion[] = [];
  for (const q of rotations) {
    const last = chosen.at(-1) ?? q;
    const cosine = q[0] * last[0] + q[1] * last[1] + q[2] * last[2] + q[3] * last[3];
    chosen.push(cosine < 0 ? [-q[0], -q[1], -q[2], -q[3]] : q);
  }
  return chosen;
}

/** Squad's inner control: q exp(-(log(q^-1 next) + log(q^-1 previous)) / 4); rotation vectors are twice the log. */
function squadControl(rotations: readonly Quaternion[], i: number): Quaternion {
  const q = rotations[i];
  const previous = rotations[i - 1];
  const next = rotations[i + 1];
  if (!previous || !next) return q;
  const turns = add(toAxisAngle(compose(inverse(q), next)), toAxisAngle(compose(inverse(q), previous)));
  return compose(q, fromAxisAngle(scale(turns, -1 / 4)));
}
