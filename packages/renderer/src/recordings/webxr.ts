/**
 * A recording of a WebXR session, in a minimal JSON of ours: per frame the time (ms), the view's transform and projection
 * matrix as the browser gives them, and 25 joints a hand. WebXR's axes and units are the trajectory's.
 */
import type { Intrinsics } from '../camera/intrinsics.ts';
import { placedCamera } from '../camera/pose.ts';
import { Field, type TextFile } from '../trajectory/fields.ts';
import {
  DEFAULT_HEIGHT,
  DEFAULT_WIDTH,
  type HandPose,
  type ImportDefaults,
  meanFps,
  type Trajectory,
  type TrajectoryFrame,
} from '../trajectory/types.ts';

/** @throws InvalidFileError naming the field and what was expected. */
export function importWebxr(file: TextFile, defaults: ImportDefaults = {}): Trajectory {
  const { width = DEFAULT_WIDTH, height = DEFAULT_HEIGHT } = defaults;
  const list = Field.parse(file).get('frames');
  const fields = list.items();
  if (fields.length === 0) throw list.error('at least one frame');
  const first = fields[0].get('time').number();
  let last = Number.NEGATIVE_INFINITY;
  const frames = fields.map((frame): TrajectoryFrame => {
    const time = frame.get('time').number('a time in milliseconds');
    if (!(time > last)) throw frame.get('time').error('increasing times');
    last = time;
    const view = frame.get('view');
    const transform = view.get('transform');
    const hands = frame.get('hands');
    return {
      seconds: (time - first) / 1000,
      intrinsics: fromProjection(view.get('projectionMatrix'), width, height),
      camera: placedCamera(
        'opengl',
        transform.get('position').point(),
        transform.get('orientation').quaternion(),
      ),
      hands: hands.absent
        ? { left: null, right: null }
        : { left: readHand(hands.get('left')), right: readHand(hands.get('right')) },
    };
  });
  return {
    fps: meanFps(
      frames.map(({ seconds }) => seconds),
      defaults.fps,
    ),
    frames,
  };
}

/** From the 16 numbers of a projection matrix, by columns: P0, P5 scale, P8, P9 shift the centre. */
function fromProjection(field: Field, width: number, height: number): Intrinsics {
  const p = field.numbers(16);
  if (!(p[0] > 0 && p[5] > 0)) throw field.error('a perspective projection: positive scales at 0 and 5');
  return {
    fx: (p[0] * width) / 2,
    fy: (p[5] * height) / 2,
    cx: (width * (1 - p[8])) / 2,
    cy: (height * (1 + p[9])) / 2,
    width,
    height,
  };
}

/** A hand with a joint that the headset did not see is not there in this frame. */
function readHand(field: Field): HandPose | null {
  if (field.absent) return null;
  const fields = field.get('joints').items(25, 'joints');
  if (fields.some((joint) => joint.absent)) return null;
  const joints = new Float64Array(25 * 7);
  const radii = new Float64Array(25);
  fields.forEach((joint, i) => {
    joints.set([...joint.get('position').point(), ...joint.get('orientation').quaternion()], 7 * i);
    radii[i] = joint.get('radius').absent ? 0 : joint.get('radius').number();
  });
  const known = fields.every((joint) => !joint.get('radius').absent);
  return known ? { joints, radii } : { joints };
}
