/** What happened in a clip, frame by frame, for evaluation and for people: JSON. */
import { type HandSide, placement, SIDES } from '@dwm/renderer';
import type { Act, Action, SimulatedClip } from '../types.ts';

/** Where an object is. */
export interface ObjectState {
  /** World, metres, and x y z w. */
  readonly position: readonly number[];
  readonly rotation: readonly number[];
  /** Metres or radians, of parts on a joint. */
  readonly opening?: number;
}

/** The state of the world in a frame. */
export interface FrameState {
  readonly action: Action;
  readonly objects: Readonly<Record<string, ObjectState>>;
  readonly contacts: readonly { readonly side: HandSide; readonly part: string }[];
  /** `dropped`: the hand acts but the hand video does not show it. */
  readonly hands: Readonly<Record<HandSide, 'seen' | 'dropped' | 'absent'>>;
}

/** The state of the world in every frame of a clip. */
export interface StateLog {
  readonly seed: number;
  readonly action: Action;
  /** Of an episode, in order; `action` is the first one's. */
  readonly acts?: readonly Act[];
  /** What the room is made for where that is not the action. */
  readonly room?: string;
  readonly caption: string;
  readonly fixedCamera: boolean;
  readonly fps: number;
  readonly frames: readonly FrameState[];
}

/** Micrometres: the last digits of a float64 say nothing. */
const rounded = (values: ArrayLike<number>): number[] =>
  Array.from(values, (value) => Math.round(value * 1e6) / 1e6 + 0);

export function stateLog(clip: SimulatedClip): StateLog {
  const { seed, action, acts, room, caption, fixedCamera, moving, trajectory, acting, contacts } = clip;
  return {
    seed,
    action,
    ...(acts && { acts }),
    ...(room && { room }),
    caption,
    fixedCamera,
    fps: trajectory.fps,
    frames: acting.frames.map(({ hands }, frame) => ({
      action: acts?.findLast(({ from }) => from <= frame)?.action ?? action,
      objects: Object.fromEntries(moving.map((part) => [part.name, objectState(part, frame)])),
      contacts: contacts
        .filter((contact) => contact.frame === frame)
        .map(({ side, part }) => ({ side, part })),
      hands: Object.fromEntries(
        SIDES.map((side) => [
          side,
          !hands[side] ? 'absent' : trajectory.frames[frame].hands[side] ? 'seen' : 'dropped',
        ]),
      ) as FrameState['hands'],
    })),
  };
}

function objectState({ worlds, opening }: SimulatedClip['moving'][number], frame: number): ObjectState {
  const { position, rotation } = placement({
    axes: 'opengl',
    direction: 'camera-to-world',
    matrix: worlds[frame],
  });
  return {
    position: rounded(position),
    rotation: rounded(rotation),
    ...(opening && { opening: rounded([opening[frame]])[0] }),
  };
}
