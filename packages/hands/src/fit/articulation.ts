/**
 * A hand that bends as hands do: a place and rotation of the wrist, and angles of the joints against the hand at rest.
 * Bones keep their lengths. WebXR's joints have -z along the bone and +y dorsal, so bending is about x and spreading
 * about y.
 */
import { type Quaternion, rotations, type Vec3 } from '@dwm/renderer';

const { add, compose, fromAxisAngle, inverse, rotate, scale, subtract, vec3At } = rotations;

/** An angle that a joint has: which joint of 25, about which axis, how far it goes from the hand at rest, radians. */
interface Freedom {
  readonly joint: number;
  readonly axis: Vec3;
  readonly least: number;
  readonly most: number;
}

const BEND: Vec3 = [-1, 0, 0];
const SPREAD: Vec3 = [0, 1, 0];
const TWIST: Vec3 = [0, 0, 1];

const freedom = (joint: number, axis: Vec3, least: number, most: number): Freedom => ({
  joint,
  axis,
  least,
  most,
});

/**
 * In the order of the angles. After Lin, Wu and Huang, "Modeling the constraints of human hand motion", 2000, with some
 * slack.
 */
export const FREEDOMS: readonly Freedom[] = [
  freedom(1, BEND, -0.7, 0.9),
  freedom(1, SPREAD, -0.7, 0.7),
  freedom(1, TWIST, -0.6, 0.6),
  freedom(2, BEND, -0.4, 1.2),
  freedom(3, BEND, -0.6, 1.4),
  ...[6, 11, 16, 21].flatMap((knuckle) => [
    freedom(knuckle, BEND, -0.5, 1.6),
    freedom(knuckle, SPREAD, -0.35, 0.35),
    freedom(knuckle + 1, BEND, -0.2, 1.9),
    freedom(knuckle + 2, BEND, -0.2, 1.4),
  ]),
];

/** Where a hand is and how it is bent. */
export interface Posture {
  /** Of the wrist, metres. */
  readonly place: Vec3;
  /** From the hand at rest to the hand. */
  readonly rotation: Quaternion;
  /** One for each of `FREEDOMS`, radians. */
  readonly angles: readonly number[];
}

/** The hand on the way from `a` to `b`, at 0 to 1. */
export const mixPostures = (a: Posture, b: Posture, at: number): Posture => ({
  place: rotations.lerp(a.place, b.place, at),
  rotation: rotations.slerp(a.rotation, b.rotation, at),
  angles: a.angles.map((angle, i) => angle + (b.angles[i] - angle) * at),
});

/** The joint that each of WebXR's 25 hangs on. */
const PARENTS = Array.from({ length: 25 }, (_, joint) => (joint === 1 || joint % 5 === 0 ? 0 : joint - 1));

/** A hand of one person's size, to be bent. */
export class Articulation {
  readonly #places: readonly Vec3[];
  readonly #turns: readonly Quaternion[];
  readonly #size: number;

  /**
   * @param rest the hand at rest, [25, 7] in WebXR's order.
   * @param size of the person's hand, by that of `rest`.
   */
  constructor(rest: ArrayLike<number>, size: number) {
    const joints = [...Array(25).keys()];
    this.#places = joints.map((joint) => vec3At(rest, 7 * joint));
    this.#turns = joints.map((joint): Quaternion => {
      const [x, y, z, w] = [3, 4, 5, 6].map((k) => rest[7 * joint + k]);
      return [x, y, z, w];
    });
    this.#size = size;
  }

  /** [25, 7] in WebXR's order. */
  joints({ place, rotation, angles }: Posture): Float64Array {
    const places: Vec3[] = [place];
    const turns: Quaternion[] = [compose(rotation, this.#turns[0])];
    let next = 0;
    for (let joint = 1; joint < 25; joint++) {
      const parent = PARENTS[joint];
      const change = compose(turns[parent], inverse(this.#turns[parent]));
      const bone = scale(subtract(this.#places[joint], this.#places[parent]), this.#size);
      places.push(add(places[parent], rotate(change, bone)));
      let turn = compose(change, this.#turns[joint]);
      for (; FREEDOMS[next]?.joint === joint; next++)
        turn = compose(turn, fromAxisAngle(scale(FREEDOMS[next].axis, angles[next])));
      turns.push(turn);
    }
    const joints = new Float64Array(175);
    for (let joint = 0; joint < 25; joint++) joints.set([...places[joint], ...turns[joint]], 7 * joint);
    return joints;
  }
}
