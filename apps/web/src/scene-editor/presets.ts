/**
 * Ready motions: what a hand does from where it is, as places relative to it in the camera's axes (right, up, ahead)
 * with how far it is closed. They suit any room: the visitor puts the hand before the thing, then chooses one.
 */
import { type Intrinsics, NO_HANDS, type Trajectory } from '@dwm/renderer';
import { type CameraRig, cameraPose } from './camera-rig.ts';
import { type HandRig, handPose, type Posture, turned } from './hand-rig.ts';
import { add, lookRotation, rotate, type Vec3 } from './vectors.ts';

interface Key {
  /** Share of the clip. */
  readonly at: number;
  /** Metres from where the hand began. */
  readonly move: Vec3;
  readonly grasp: number;
  /** Radians about the forearm, and sideways. */
  readonly roll?: number;
  readonly swing?: number;
}

interface Preset {
  readonly label: string;
  readonly posture: Posture;
  readonly keys: readonly Key[];
}

export const PRESETS = {
  pull: {
    label: 'Pull',
    posture: 'hook',
    keys: [
      { at: 0, move: [0, 0, -0.05], grasp: 0 },
      { at: 0.25, move: [0, 0, 0.05], grasp: 0 },
      { at: 0.35, move: [0, 0, 0.05], grasp: 1 },
      { at: 0.9, move: [0, 0, -0.25], grasp: 1 },
      { at: 1, move: [0, 0, -0.25], grasp: 1 },
    ],
  },
  push: {
    label: 'Push',
    posture: 'flat',
    keys: [
      { at: 0, move: [0, 0, -0.08], grasp: 0 },
      { at: 0.3, move: [0, 0, 0.02], grasp: 0 },
      { at: 0.85, move: [0, 0, 0.28], grasp: 0 },
      { at: 1, move: [0, 0, 0.28], grasp: 0 },
    ],
  },
  open: {
    label: 'Open',
    posture: 'hook',
    keys: [
      { at: 0, move: [0, 0, -0.05], grasp: 0 },
      { at: 0.25, move: [0, 0, 0.04], grasp: 0 },
      { at: 0.35, move: [0, 0, 0.04], grasp: 1 },
      { at: 0.65, move: [-0.08, 0, -0.18], grasp: 1, swing: 0.4 },
      { at: 1, move: [-0.28, 0, -0.24], grasp: 1, swing: 0.9 },
    ],
  },
  place: {
    label: 'Pick and place',
    posture: 'wrap',
    keys: [
      { at: 0, move: [0, 0.12, -0.04], grasp: 0 },
      { at: 0.2, move: [0, 0, 0.04], grasp: 0 },
      { at: 0.3, move: [0, 0, 0.04], grasp: 0.8 },
      { at: 0.5, move: [-0.08, 0.14, 0.04], grasp: 0.8 },
      { at: 0.75, move: [-0.22, 0.02, 0.04], grasp: 0.8 },
      { at: 0.85, move: [-0.22, 0.02, 0.04], grasp: 0 },
      { at: 1, move: [-0.22, 0.12, -0.04], grasp: 0 },
    ],
  },
  wave: {
    label: 'Wave',
    posture: 'flat',
    keys: [
      { at: 0, move: [0, 0.04, 0], grasp: 0 },
      { at: 0.25, move: [0.08, 0.06, 0], grasp: 0, roll: -0.4 },
      { at: 0.5, move: [-0.08, 0.06, 0], grasp: 0, roll: 0.4 },
      { at: 0.75, move: [0.08, 0.06, 0], grasp: 0, roll: -0.4 },
      { at: 1, move: [0, 0.04, 0], grasp: 0 },
    ],
  },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as PresetName[];

const smooth = (t: number) => t * t * (3 - 2 * t);

function keyAt(keys: readonly Key[], at: number): Required<Key> {
  const next = Math.max(
    1,
    keys.findIndex((key) => key.at >= at),
  );
  const [from, to] = [keys[next - 1], keys[next]];
  const t = smooth((at - from.at) / (to.at - from.at));
  const mix = (a = 0, b = 0) => a + (b - a) * t;
  return {
    at,
    move: [0, 1, 2].map((axis) => mix(from.move[axis], to.move[axis])) as unknown as Vec3,
    grasp: mix(from.grasp, to.grasp),
    roll: mix(from.roll, to.roll),
    swing: mix(from.swing, to.swing),
  };
}

/** The preset done by `hand`, seen by a camera that stays where it is. */
export function presetTrajectory(
  name: PresetName,
  hand: HandRig,
  camera: CameraRig,
  intrinsics: Intrinsics,
  { frames, fps }: { readonly frames: number; readonly fps: number },
): Trajectory {
  const { keys, posture }: Preset = PRESETS[name];
  const inwards = hand.side === 'right' ? 1 : -1;
  const axes = lookRotation(camera.yaw, 0);
  const pose = cameraPose(camera);
  return {
    fps,
    frames: Array.from({ length: frames }, (_, i) => {
      const { move, grasp, roll, swing } = keyAt(keys, i / (frames - 1));
      const [right, up, ahead] = move;
      const posed = turned(hand, roll * inwards, 0, swing * inwards);
      const position = add(hand.position, rotate(axes, [right * inwards, up, -ahead]));
      return {
        seconds: i / fps,
        intrinsics,
        camera: pose,
        hands: { ...NO_HANDS, [hand.side]: handPose({ ...posed, position, posture, grasp }) },
      };
    }),
  };
}
