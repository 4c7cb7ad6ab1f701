/**
 * A trajectory's two conditioning clips: the static scene along the camera path, and the hands alone on black. The
 * frames come as displayed bytes, the form that video files and the model take.
 */
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import { readColor } from '../gpu/frame-tensors.ts';
import { RenderTarget } from '../gpu/render-target.ts';
import type { View } from '../gpu/view.ts';
import { HandRenderer } from '../hands/hand-renderer.ts';
import type { Trajectory } from '../trajectory/types.ts';
import type { PosedHands } from './posed-hands.ts';
import type { StaticScene } from './static-scene.ts';

/** [frames, height, width, 3]. */
export interface RenderedClip {
  readonly data: Uint8Array;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  readonly fps: number;
}

/** How clips are drawn. */
export interface RenderOptions {
  /** Samples a pixel: 4 for smooth edges. */
  readonly samples?: 1 | 4;
  /** Stops between two frames. */
  readonly signal?: AbortSignal;
  readonly onFrame?: (done: number, frames: number) => void;
}

/** How clips of a scene are drawn. */
export interface SceneRenderOptions extends RenderOptions {
  /** Takes the depth of every frame: metres [height, width], 0 where nothing is. */
  readonly onDepth?: (frame: number, metres: Float32Array) => void | Promise<void>;
}

/**
 * The scene as the trajectory's camera sees it, every frame.
 * @throws InvalidArgumentError where the frames differ in size; what drawing throws.
 */
export async function renderSceneClip(
  scene: StaticScene,
  trajectory: Trajectory,
  { samples = 4, onDepth, ...options }: SceneRenderOptions = {},
): Promise<RenderedClip> {
  return renderFrames(scene.device, trajectory, { samples, ...options }, async (view, target, frame) => {
    const { rgb, depth } = await scene.render(view, target, { depth: onDepth !== undefined });
    if (onDepth && depth) await onDepth(frame, depth);
    return rgb;
  });
}

/** The hands in the original's look; frames without hands are black. Throws as `renderSceneClip`. */
export async function renderHandClip(
  device: Device,
  hands: PosedHands,
  trajectory: Trajectory,
  { samples = 1, ...options }: RenderOptions = {},
): Promise<RenderedClip> {
  const renderer = new HandRenderer(device);
  try {
    return await renderFrames(device, trajectory, { samples, ...options }, (view, target, frame) => {
      renderer.draw(hands.pose(trajectory.frames[frame].hands), view, target);
      return readColor(device, target.color);
    });
  } finally {
    renderer.destroy();
  }
}

async function renderFrames(
  device: Device,
  { frames, fps }: Trajectory,
  { samples, signal, onFrame }: RenderOptions,
  draw: (view: View, target: RenderTarget, frame: number) => Promise<Uint8Array>,
): Promise<RenderedClip> {
  const { width, height } = frames[0].intrinsics;
  const data = new Uint8Array(frames.length * height * width * 3);
  const target = new RenderTarget(device, width, height, { samples });
  try {
    for (const [i, { intrinsics, camera }] of frames.entries()) {
      signal?.throwIfAborted();
      if (intrinsics.width !== width || intrinsics.height !== height) {
        throw new InvalidArgumentError(
          'trajectory',
          `frame ${i} is ${intrinsics.width}x${intrinsics.height} pixels, frame 0 ${width}x${height}; fit them to one size`,
        );
      }
      data.set(await draw({ intrinsics, pose: camera }, target, i), i * height * width * 3);
      onFrame?.(i + 1, frames.length);
    }
  } finally {
    target.destroy();
  }
  return { data, frames: frames.length, height, width, fps };
}
