/**
 * Hands before a webcam. Its pictures go to the engine, which finds the hands in them, and nowhere else. One is taken
 * when the one before it has been looked at.
 */
import type { HandPose, Hands } from '@dwm/renderer';
import {
  add,
  clamp,
  compose,
  type Quaternion,
  rotate,
  scale,
  subtract,
  vec3At,
} from '../scene-editor/vectors.ts';

/** The webcam looks back at the visitor: half a turn about y. */
const FACING: Quaternion = [0, 1, 0, 0];

/** Metres from the webcam to the eye, and where before the eye hands are. */
const BETWEEN = 0.9;
const [NEAREST, FARTHEST] = [0.35, 0.7];

const AGAIN = 'then press “By webcam” again.';

/** What to do about each of the browser's refusals. */
const REFUSALS: Readonly<Record<string, string>> = {
  NotAllowedError: `The camera was refused: allow it for this page beside the browser's address bar, ${AGAIN}`,
  NotFoundError: `No camera was found: plug one in, ${AGAIN}`,
  NotReadableError: `The camera gives no picture, perhaps as another program has it: close that, ${AGAIN}`,
};
const GONE = `The camera is gone: plug it in or switch it on, ${AGAIN}`;
const NO_CAMERAS = 'Browsers give a camera to pages over https and on localhost only.';

/** To be called from a click. @throws Error in one line for the visitor. */
export async function openWebcam(): Promise<MediaStream> {
  // Pages over plain http have none, whatever the types say.
  const devices: MediaDevices | undefined = navigator.mediaDevices;
  if (!devices) throw new Error(NO_CAMERAS);
  try {
    return await devices.getUserMedia({ video: { width: 640, height: 480 } });
  } catch (error) {
    const { name, message } = error as DOMException;
    throw new Error(REFUSALS[name] ?? `The camera cannot be used: ${message}`);
  }
}

/**
 * Goes on until the signal, and gives the webcam back then.
 * @param find gives the hands in a picture, before a camera at the origin; nothing where they are not looked for.
 * @throws Error in one line where the webcam goes away; what `find` throws.
 */
export async function followWebcam(
  stream: MediaStream,
  find: (picture: ImageBitmap) => Promise<Hands | undefined>,
  onHands: (hands: Hands) => void,
  signal: AbortSignal,
): Promise<void> {
  const video = document.createElement('video');
  Object.assign(video, { srcObject: stream, muted: true, playsInline: true });
  const ended = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    for (const track of stream.getTracks()) track.addEventListener('ended', () => reject(new Error(GONE)));
  });
  const look = async () => {
    const hands = await find(await createImageBitmap(video));
    if (hands) onHands(facing(hands));
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  };
  try {
    signal.throwIfAborted();
    await Promise.race([video.play(), ended]);
    for (;;) await Promise.race([look(), ended]);
  } finally {
    for (const track of stream.getTracks()) track.stop();
  }
}

/**
 * From before the webcam to before the visitor, whom it faces: as in a mirror, so whatever the webcam sees is in view.
 * A hand that is nearer to the webcam is further into the room.
 */
export function facing({ left, right }: Hands): Hands {
  return { left: mirrored(left), right: mirrored(right) };
}

function mirrored(hand: HandPose | null): HandPose | null {
  if (!hand?.joints) return null;
  const joints = Float64Array.from(hand.joints);
  const wrist = vec3At(joints, 0);
  const depth = clamp(BETWEEN + wrist[2], NEAREST, FARTHEST);
  const place = scale(rotate(FACING, [wrist[0], wrist[1], -wrist[2]]), depth / -wrist[2]);
  for (let at = 0; at < joints.length; at += 7) {
    const [qx, qy, qz, qw] = joints.subarray(at + 3, at + 7);
    const fromWrist = rotate(FACING, subtract(vec3At(joints, at), wrist));
    joints.set(add(place, fromWrist), at);
    joints.set(compose(FACING, [qx, qy, qz, qw]), at + 3);
  }
  return { joints };
}
