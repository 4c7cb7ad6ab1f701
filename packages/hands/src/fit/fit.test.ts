import { seeded } from '@dwm/core-tensor/testing';
import { fromFieldOfView, rotations } from '@dwm/renderer';
import { LANDMARK_JOINTS } from '@dwm/renderer/recordings';
import { expect, test } from 'vitest';
import type { SeenHand } from '../tracker/types.ts';
import { Articulation, FREEDOMS, type Posture } from './articulation.ts';
import { type FittedHand, fitHand } from './fit-hand.ts';
import { fitOwnHand } from './fit-own-hand.ts';
import { fitVideo } from './fit-video.ts';
import { leastSquares } from './least-squares.ts';
import { turnOfRay } from './own-view.ts';
import { REACHING_ANGLES, reachingTurn } from './reaching.ts';
import { handTracks } from './tracks.ts';

const camera = fromFieldOfView(640, 480, 1.1);

/** A flat right hand in WebXR's order: wrist at the origin, fingers along -z, their joints turned as the wrist. */
function restHand(): Float64Array {
  const rest = new Float64Array(175);
  const put = (joint: number, x: number, z: number) => rest.set([x, 0, z, 0, 0, 0, 1], 7 * joint);
  put(0, 0, 0);
  for (const [i, z] of [0.03, 0.06, 0.09, 0.115].entries()) put(1 + i, -0.03 - 0.012 * i, -z);
  for (let finger = 0; finger < 4; finger++)
    for (const [i, z] of [0.02, 0.09, 0.13, 0.155, 0.175].entries())
      put(5 + 5 * finger + i, 0.022 * (finger - 1.5), -z);
  return rest;
}

const rest = restHand();
const hand = new Articulation(rest, 1);
const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** What a tracker that errs by `noise` pixels would see of a hand. */
function seen(posture: Posture, side: 'left' | 'right', noise = () => 0): SeenHand {
  const joints = new Articulation(rest, 1).joints(posture);
  const points = LANDMARK_JOINTS.map((joint) => rotations.vec3At(joints, 7 * joint));
  const middle = [0, 1, 2].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / 21);
  return {
    ...{ side, sideCertainty: 0.9, presence: 0.9, atOnce: true },
    points: points.map(([x, y, z]) => [
      camera.cx - (camera.fx * x) / z + noise(),
      camera.cy + (camera.fy * y) / z + noise(),
    ]),
    world: Float64Array.from(points.flatMap(([x, y, z]) => [x - middle[0], middle[1] - y, middle[2] - z])),
  };
}

/** A bent hand about half a metre away, turned so that its back is seen. */
function bent(random: () => number): Posture {
  const turn = rotations.fromAxisAngle([1.2 + 0.4 * random(), 0.5 * random(), 0.8 * random()]);
  return {
    place: [0.1 * random() - 0.05, 0.1 * random() - 0.05, -0.45 - 0.2 * random()],
    rotation: turn,
    angles: FREEDOMS.map(({ least, most }) => 0.6 * (least + random() * (most - least))),
  };
}

const distances = (a: Float64Array, b: Float64Array): number[] =>
  LANDMARK_JOINTS.map((joint) =>
    Math.hypot(...[0, 1, 2].map((axis) => a[7 * joint + axis] - b[7 * joint + axis])),
  );

test('bent hands are recovered to 15 mm in the median, from points that are a pixel off', () => {
  const random = seeded(3);
  const errors: number[] = [];
  for (let trial = 0; trial < 4; trial++) {
    const posture = bent(random);
    const found = fitHand(
      seen(posture, 'right', () => 2 * random() - 1),
      camera,
      hand,
      rest,
    )!;
    expect(found.error).toBeLessThan(3);
    errors.push(...distances(hand.joints(found.posture), hand.joints(posture)));
  }
  expect(median(errors)).toBeLessThan(0.015);
});

/** A hand that reaches out, nearly, and what a network that takes it for a flat one sees of it. */
function flattened(random: () => number): { posture: Posture; found: SeenHand } {
  const turn = rotations.fromAxisAngle([random() - 0.5, random() - 0.5, random() - 0.5]);
  const posture: Posture = {
    place: [0.1 * random(), 0.1 * random(), -0.4 - 0.1 * random()],
    rotation: rotations.compose(turn, reachingTurn('right')),
    angles: REACHING_ANGLES.map((angle) => angle + 0.6 * (random() - 0.5)),
  };
  const exact = seen(posture, 'right');
  const world = exact.world.map((value, i) => (i % 3 === 2 ? 0.3 * value : value));
  return { posture, found: { ...exact, world } };
}

test('a hand that points away is no flat one, whatever the network says', () => {
  const random = seeded(4);
  const errors = { own: [] as number[], seen: [] as number[] };
  for (let trial = 0; trial < 3; trial++) {
    const { posture, found } = flattened(random);
    const error = (fitted: FittedHand | undefined) =>
      median(distances(hand.joints(fitted!.posture), hand.joints(posture)));
    errors.own.push(error(fitOwnHand(found, 'right', camera, hand, rest, true)));
    errors.seen.push(error(fitHand(found, camera, hand, rest)));
  }
  expect(median(errors.own)).toBeLessThan(0.03);
  expect(median(errors.seen)).toBeGreaterThan(2 * median(errors.own));
});

/** What our head would read of a hand, exactly, in a turned square near it. */
function readOf(posture: Posture): SeenHand {
  const flat = flattened(seeded(4)).found;
  const joints = hand.joints(posture);
  const exact = seen(posture, 'right');
  const region = { x: 300, y: 260, size: 180, angle: 0.4 };
  const fromCamera = rotations.inverse(turnOfRay([region.x, region.y], region.angle, camera));
  const points = LANDMARK_JOINTS.map((joint) => rotations.vec3At(joints, 7 * joint));
  const middle = rotations.scale(points.reduce(rotations.add), 1 / 21);
  const space = points.flatMap((point) => {
    const [x, y, z] = rotations.subtract(point, middle);
    return rotations.rotate(fromCamera, [x, -y, -z]);
  });
  const [cosine, sine] = [Math.cos(region.angle), Math.sin(region.angle)];
  const picture = exact.points.flatMap(([u, v]) => {
    const [x, y] = [(u - region.x) / region.size, (v - region.y) / region.size];
    return [cosine * x + sine * y, cosine * y - sine * x];
  });
  const right = { picture: Float64Array.from(picture), space: Float64Array.from(space) };
  const left = { picture: right.picture, space: right.space.map((value) => -value) };
  return { ...flat, side: 'left', own: { region, reading: { left, right, rightness: 0.9 } } };
}

test('what our head reads is believed where it is a hand, and else the network', () => {
  const posture = {
    place: [0.05, -0.02, -0.45],
    rotation: reachingTurn('right'),
    angles: REACHING_ANGLES,
  } as const;
  const read = readOf(posture);
  const left = rest.map((value, i) => (i % 7 === 0 ? -value : value));
  const found = (one: SeenHand) =>
    fitVideo([[one], [one], [one]], camera, { left, right: rest }).hands[1].right!.joints as Float64Array;
  expect(median(distances(found(read), hand.joints(posture)))).toBeLessThan(0.003);
  const { reading, region } = read.own!;
  const { picture, space } = reading.right;
  const noHands = [
    { picture, space: space.map((value, i) => value + (i % 2 === 0 ? 0.1 : -0.1)) },
    // All in one place: nothing can be fitted.
    { picture: picture.map(() => 0), space },
  ];
  for (const right of noHands)
    expect(found({ ...read, own: { region, reading: { ...reading, right } } })).toEqual(
      found({ ...read, side: 'right', sideCertainty: 1, own: undefined }),
    );
});

test('a hand is of the side that it fits as, against a network that is quite sure', () => {
  const { found } = flattened(seeded(4));
  const mistaken: SeenHand = { ...found, side: 'left', sideCertainty: 0.9 };
  const left = rest.map((value, i) => (i % 7 === 0 ? -value : value));
  const { hands } = fitVideo([[mistaken], [mistaken], [mistaken]], camera, { left, right: rest });
  expect(hands.map(({ left, right }) => [left !== null, right !== null])).toEqual(
    Array(3).fill([false, true]),
  );
});

test('bones keep their lengths', () => {
  const random = seeded(5);
  const joints = new Articulation(rest, 1.1).joints(bent(random));
  const bone = (data: Float64Array, joint: number) =>
    Math.hypot(...[0, 1, 2].map((axis) => data[7 * joint + axis] - data[7 * (joint - 1) + axis]));
  for (const joint of [2, 3, 4, 7, 8, 9, 22, 23, 24])
    expect(bone(joints, joint)).toBeCloseTo(1.1 * bone(rest, joint), 9);
});

test('a side is kept, a gap of three is bridged, and one of four is not', () => {
  const posture = bent(seeded(7));
  const right = [seen(posture, 'right')];
  // One picture in which the network takes the hand for a left one.
  const mistaken = [seen(posture, 'left')];
  const pictures = [
    right,
    right,
    mistaken,
    right,
    [],
    [],
    [],
    right,
    right,
    [],
    [],
    [],
    [],
    right,
    right,
    right,
  ];
  const { hands, records } = fitVideo(pictures, camera, { left: rest, right: rest });
  expect(hands.map((frame) => frame.right !== null)).toEqual(pictures.map((_, i) => !(i >= 9 && i < 13)));
  expect(hands.every((frame) => frame.left === null)).toBe(true);
  expect(records[5].right).toBeNull();
});

test('a hand goes evenly through a gap, and a single jump is halved', () => {
  const posture = { rotation: reachingTurn('right'), angles: REACHING_ANGLES };
  const at = (x: number) => seen({ ...posture, place: [x, 0, -0.5] }, 'right');
  const rests = { left: rest, right: rest };
  const placesOf = (pictures: SeenHand[][]) =>
    fitVideo(pictures, camera, rests).hands.map(({ right }) => right!.joints![0]);
  const [, , second, third, fourth] = placesOf([[at(0)], [at(0)], [], [], [], [at(0.04)], [at(0.04)]]);
  expect(third).toBeCloseTo(0.02, 3);
  expect(fourth - third).toBeCloseTo(third - second, 3);
  const jump = placesOf([[at(0)], [at(0)], [at(0.02)], [at(0)], [at(0)]]);
  expect(jump[2]).toBeCloseTo(0.01, 3);
});

test('half of what is said of the size is taken, within those of adults', () => {
  const hand = seen(bent(seeded(7)), 'right');
  const sizeOf = (said: number) =>
    fitVideo([[{ ...hand, world: hand.world.map((value) => said * value) }]], camera, {
      left: rest,
      right: rest,
    }).sizes.right;
  expect(sizeOf(1.21)).toBeCloseTo(1.1, 6);
  expect(sizeOf(2)).toBe(1.15);
  expect(sizeOf(0.5)).toBe(0.85);
});

test('of two hands that are taken for the same one, the less sure is the other', () => {
  const near = { ...bent(seeded(7)), place: [-0.2, 0, -0.5] as const };
  const other = { ...near, place: [0.2, 0, -0.5] as const };
  const pictures = Array.from({ length: 4 }, () => [
    seen(near, 'right'),
    { ...seen(other, 'right'), sideCertainty: 0.6 },
  ]);
  const { left, right } = handTracks(pictures);
  expect(right.every((hand, i) => hand === pictures[i][0])).toBe(true);
  expect(left.every((hand, i) => hand === pictures[i][1])).toBe(true);
});

test('a hand whose side the network does not know is of the side that its arm comes from', () => {
  const hand = seen(bent(seeded(7)), 'right');
  // Wrist and middle knuckle; the arm comes from below, and from the left or the right.
  const from = (x: number) => ({
    ...{ ...hand, sideCertainty: 0.55 },
    points: hand.points.map((point, i) =>
      i === 0 ? ([x, 240] as const) : i === 9 ? ([300, 200] as const) : point,
    ),
  });
  const sideOf = (one: SeenHand) => (handTracks([[one], [one], [one]]).right[0] ? 'right' : 'left');
  expect([sideOf(from(340)), sideOf(from(260))]).toEqual(['right', 'left']);
  expect(sideOf({ ...from(260), sideCertainty: 0.95 })).toBe('right');
});

test('what flashes up is no hand, nor where others follow that are not seen at once', () => {
  const flash = { ...seen(bent(seeded(7)), 'right'), presence: 0.9 };
  const shown = (...pictures: (SeenHand | undefined)[]) =>
    handTracks(pictures.map((hand) => (hand ? [hand] : []))).right.filter(Boolean).length;
  expect(shown(undefined, flash)).toBe(0);
  const followed = { ...flash, atOnce: false };
  expect(shown(followed, followed, flash, followed)).toBe(0);
  expect(shown(flash, followed, flash)).toBe(3);
  const unsure = { ...flash, presence: 0.6 };
  expect(shown(undefined, unsure, unsure)).toBe(0);
  expect(shown(unsure, unsure, unsure)).toBe(3);
  expect(shown(flash)).toBe(1);
});

test('least squares find the valley of Rosenbrock', () => {
  const [x, y] = leastSquares(([a, b]) => [10 * (b - a * a), 1 - a], [-1.2, 1], 200);
  expect(x).toBeCloseTo(1, 4);
  expect(y).toBeCloseTo(1, 4);
});
