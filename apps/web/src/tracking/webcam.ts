/**
 * Hands before a webcam, by MediaPipe's HandLandmarker. Its WebAssembly is part of the build; its model is a file that
 * the visitor picks, because the page fetches nothing from elsewhere. Loaded when first asked for.
 */

import { type Hands, importMediapipe, NO_HANDS } from '@dwm/renderer';
import { type FilesetResolver, HandLandmarker } from '@mediapipe/tasks-vision';
import wasmLoader from '@mediapipe/tasks-vision/vision_wasm_internal.js?url';
import wasmBinary from '@mediapipe/tasks-vision/vision_wasm_internal.wasm?url';
import { add, compose, type Quaternion, rotate, type Vec3 } from '../scene-editor/vectors.ts';
import { REST_HANDS } from './rest-hands.ts';
import type { Tracked } from './tracked.ts';

/** The webcam before the eye, metres, looking back at the visitor: half a turn about y. */
const WEBCAM: Vec3 = [0, -0.05, -0.9];
const FACING: Quaternion = [0, 1, 0, 0];

/** @throws Error in one line for a file that is no HandLandmarker model. */
async function loadLandmarker(model: Uint8Array): Promise<HandLandmarker> {
  const fileset: Awaited<ReturnType<typeof FilesetResolver.forVisionTasks>> = {
    wasmLoaderPath: new URL(wasmLoader, document.baseURI).href,
    wasmBinaryPath: new URL(wasmBinary, document.baseURI).href,
  };
  try {
    return await HandLandmarker.createFromOptions(fileset, {
      baseOptions: { modelAssetBuffer: model },
      runningMode: 'VIDEO',
      numHands: 2,
    });
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
    throw new Error(`the file is no HandLandmarker model (${reason}); expected hand_landmarker.task`);
  }
}

/** Follows the hands until the returned function is called, which gives the webcam back. */
export async function followWebcam(
  model: Uint8Array,
  onTracked: (tracked: Tracked) => void,
  onError: (error: unknown) => void,
): Promise<() => void> {
  const landmarker = await loadLandmarker(model);
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  const video = document.createElement('video');
  Object.assign(video, { srcObject: stream, muted: true, playsInline: true });
  await video.play();
  let stopped = false;
  const stop = () => {
    stopped = true;
    for (const track of stream.getTracks()) track.stop();
    landmarker.close();
  };
  const look = () => {
    if (stopped) return;
    try {
      const { landmarks, worldLandmarks, handedness } = landmarker.detectForVideo(video, performance.now());
      const { videoWidth: w, videoHeight: h } = video;
      onTracked({ hands: handsOf({ w, h, frames: [{ landmarks, worldLandmarks, handedness }] }) });
    } catch (error) {
      stop();
      onError(error);
      return;
    }
    video.requestVideoFrameCallback(look);
  };
  look();
  return stop;
}

/** From the webcam's view into the visitor's: the webcam faces them, so its space is turned round. */
export function handsOf(results: { w: number; h: number; frames: readonly unknown[] }): Hands {
  const file = { name: 'webcam', text: JSON.stringify(results) };
  // MediaPipe names hands as a mirrored picture shows them; the webcam's is not mirrored.
  const [{ hands }] = importMediapipe(file, { rest: REST_HANDS, swapHands: true }).frames;
  const [left, right] = (['left', 'right'] as const).map((side) => {
    const joints = hands[side]?.joints;
    if (!joints) return NO_HANDS[side];
    const turned = new Float64Array(joints.length);
    for (let at = 0; at < joints.length; at += 7) {
      const [x, y, z, ...turn] = joints.subarray(at, at + 7);
      turned.set([...add(WEBCAM, rotate(FACING, [x, y, z]))], at);
      turned.set(compose(FACING, turn as unknown as Quaternion), at + 3);
    }
    return { joints: turned };
  });
  return { left, right };
}
