/**
 * A simulated clip as plain data: what stands in the room, how its parts move frame by frame, where the camera and
 * the hands are, and what happened. `simulate` makes it, the three render passes and the state log read it.
 */
import type { HandSide, Trajectory } from '@dwm/renderer';
import type { LightRig, Matrix, Scene } from '@dwm/renderer/scene';

/** Seeds below are for training, from here on for testing: whoever has a seed knows which it is. */
export const FIRST_TEST_SEED = 1_000_000;

/** What hands do in a room, by name. */
export const ACTIONS = [
  'pull-drawer',
  'push-drawer',
  'push-shut-drawer',
  'try-drawer',
  'open-door',
  'close-door',
  'open-lid',
  'close-lid',
  'flip-switch',
  'pick-and-place',
  'push-object',
  'topple',
  'pour',
  'touch-nothing',
  'miss',
  'stop-short',
  'graze',
  'let-go',
  'take-another',
  'wander',
] as const;

/** One of `ACTIONS`. */
export type Action = (typeof ACTIONS)[number];

/** Hands that fail at what the room is made for; they come by name only. */
export const NEAR_MISSES = ['miss', 'stop-short', 'graze', 'let-go', 'take-another', 'wander'] as const;

/** Actions that rooms are made for. */
export const ROOMS: readonly Action[] = ACTIONS.filter(
  (action) => !(NEAR_MISSES as readonly Action[]).includes(action),
);

/** Actions after which everything is where it was. */
export const LEAVES_ALL = new Set<Action>([
  'touch-nothing',
  'push-shut-drawer',
  'miss',
  'stop-short',
  'graze',
  'wander',
]);

/** Actions of which nobody says what comes of them: the physics does. */
export const LEFT_TO_PHYSICS = new Set<Action>(['try-drawer', 'let-go', 'take-another']);

/** A part that physics or a joint moves: a node of the scene and its world matrix in every frame. */
export interface MovingPart {
  /** Index in `scene.nodes`. */
  readonly node: number;
  readonly name: string;
  /** [frames] row-major 4x4, metres. */
  readonly worlds: readonly Matrix[];
  /** Metres (prismatic) or radians (revolute) in every frame; absent for free bodies. */
  readonly opening?: readonly number[];
}

/** What is seen of an arm above the wrist. */
export interface Forearm {
  /** Elbow in world space in every frame, metres; `null` where the hand is not there. */
  readonly elbows: readonly (readonly [number, number, number] | null)[];
  /** Shoulder in world space likewise: where the upper arm comes from. */
  readonly shoulders: readonly (readonly [number, number, number] | null)[];
  /** Linear RGB of skin and sleeve. */
  readonly skin: readonly [number, number, number];
  readonly sleeve: readonly [number, number, number];
  /** Share of the forearm that the sleeve covers, from the elbow, 0 to 1. */
  readonly sleeveLength: number;
}

/** A hand touches a part, in this frame or since the one before. */
export interface Contact {
  readonly frame: number;
  readonly side: HandSide;
  /** Name of the part that the hand touches. */
  readonly part: string;
}

/** What hands do from a frame on. */
export interface Act {
  readonly action: Action;
  readonly from: number;
}

/** A clip before it is drawn. */
export interface SimulatedClip {
  readonly seed: number;
  /** The first one, where there are several. */
  readonly action: Action;
  /** In an episode, all of them in order. */
  readonly acts?: readonly Act[];
  /** What the room is made for where that is not the action. */
  readonly room?: Action;
  /** One sentence in English: what the hands do. */
  readonly caption: string;
  /** The room with everything at its place of frame 0. */
  readonly scene: Scene;
  readonly lights: LightRig;
  readonly moving: readonly MovingPart[];
  /** Camera and hands (25 WebXR joints with radii) in every frame; `null` hands are dropped-out frames. */
  readonly trajectory: Trajectory;
  /** The hands as they were, without drop-outs: what the interaction video shows. */
  readonly acting: Trajectory;
  readonly forearms: Readonly<Partial<Record<HandSide, Forearm>>>;
  readonly contacts: readonly Contact[];
  /** A fixed camera instead of a moving egocentric one. */
  readonly fixedCamera: boolean;
}

/** What of a clip is drawn: simulated, or recorded. */
export type DrawnClip = Pick<
  SimulatedClip,
  'seed' | 'scene' | 'lights' | 'moving' | 'trajectory' | 'acting' | 'forearms'
>;

/** Why a clip is thrown away. */
export type Rejection =
  | 'interpenetration'
  | 'no-motion'
  | 'no-contact'
  | 'unwanted-motion'
  | 'unwanted-contact'
  | 'out-of-view';

/** Why a seed gave no clip. */
export interface Rejected {
  readonly seed: number;
  readonly action: Action;
  readonly rejected: Rejection;
}

/** Size and length of a clip. */
export interface ClipSettings {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** Frames a second, 8 by default. */
  readonly fps?: number;
  /** Chosen by the seed where they are left out. */
  readonly action?: Action;
  /** What the room is made for where that is not what the hands do. */
  readonly room?: Action;
  readonly fixedCamera?: boolean;
  /** Above one, an episode: the seed chooses what follows the first. */
  readonly acts?: number;
}
