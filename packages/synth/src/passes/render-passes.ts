/**
 * The three videos of a clip along one camera path: static (everything as in frame 0, no hands), hands (the original's
 * look, dropped-out frames black), interaction (parts move, hands with forearms, shadows). Pipelines and targets are
 * kept from clip to clip; the device is waited for once a clip.
 */
import type { Device } from '@dwm/core-tensor';
import type { Frames } from '@dwm/media';
import {
  ClipReadback,
  type DecodeImage,
  HandRenderer,
  MeshRenderer,
  PosedHands,
  RenderTarget,
  SceneModel,
  type View,
} from '@dwm/renderer';
import { worldBounds } from '@dwm/renderer/scene';
import { handScene } from '../hands/index.ts';
import type { DrawnClip } from '../types.ts';
import { clipScene } from './clip-scene.ts';

/** The three videos of a clip. */
export interface ClipPasses {
  /** [frames, height, width, 3] each, displayed bytes. */
  readonly staticVideo: Frames;
  readonly handVideo: Frames;
  readonly interaction: Frames;
  /** The room after the last frame's motion, without hands, in the last frame's camera. */
  readonly after: Frames;
}

/** Small pictures hide the texels of a small shadow map, and their pixels cost less than the vertices. */
const isThumbnail = (width: number): boolean => width <= 200;
const shadowTexels = (width: number): number => (isThumbnail(width) ? 1024 : 2048);

/** Draws a clip three times: static, hands, interaction. */
export class PassRenderer {
  readonly #device: Device;
  readonly #decodeImage: DecodeImage | undefined;
  readonly #meshes: MeshRenderer;
  readonly #hands: HandRenderer;
  readonly #posed: PosedHands;
  #targets: { readonly smooth: RenderTarget; readonly plain: RenderTarget } | undefined;

  /** @param decodeImage needed outside browsers, by rooms with pictures. */
  constructor(device: Device, decodeImage?: DecodeImage) {
    this.#device = device;
    this.#decodeImage = decodeImage;
    this.#meshes = new MeshRenderer(device);
    this.#hands = new HandRenderer(device);
    this.#posed = new PosedHands(device, { rigs: { left: handScene('left'), right: handScene('right') } });
  }

  /** @throws OutOfMemoryError, and InvalidFileError for a damaged picture of the scene. */
  async render(clip: DrawnClip): Promise<ClipPasses> {
    const device = this.#device;
    const { frames, fps } = clip.trajectory;
    const { width, height } = frames[0].intrinsics;
    const { smooth, plain } = this.#targetsOf(width, height);
    const { scene, still, pose } = clipScene(clip);
    const model = await SceneModel.load(device, scene, {
      ...(this.#decodeImage && { decodeImage: this.#decodeImage }),
      shadowTexels: shadowTexels(width),
    });
    const readback = new ClipReadback(device, 3 * frames.length + 1, width, height);
    try {
      const draw = (view: View) =>
        this.#meshes.draw(model, view, smooth, {
          lights: clip.lights,
          shadowBounds: worldBounds(clip.scene),
          depth: false,
          prepass: !isThumbnail(width),
        });
      const views = frames.map(({ intrinsics, camera }): View => ({ intrinsics, pose: camera }));
      const last = frames.length - 1;
      model.pose(still);
      views.forEach((view, i) => {
        draw(view);
        readback.copy(smooth.color, i);
      });
      model.pose(pose(last, false));
      draw(views[last]);
      readback.copy(smooth.color, 3 * frames.length);
      views.forEach((view, i) => {
        model.pose(pose(i, true));
        draw(view);
        readback.copy(smooth.color, frames.length + i);
      });
      views.forEach((view, i) => {
        this.#hands.draw(this.#posed.pose(frames[i].hands), view, plain);
        readback.copy(plain.color, 2 * frames.length + i);
      });
      const data = await readback.read();
      const size = width * height * 3;
      const part = (from: number, count: number): Frames => ({
        data: data.subarray(from * size, (from + count) * size),
        frames: count,
        height,
        width,
        fps,
      });
      return {
        staticVideo: part(0, frames.length),
        interaction: part(frames.length, frames.length),
        handVideo: part(2 * frames.length, frames.length),
        after: part(3 * frames.length, 1),
      };
    } finally {
      readback.destroy();
      model.destroy();
    }
  }

  destroy(): void {
    this.#dropTargets();
    this.#posed.destroy();
    this.#hands.destroy();
    this.#meshes.destroy();
  }

  #targetsOf(width: number, height: number) {
    if (this.#targets?.smooth.width !== width || this.#targets.smooth.height !== height) {
      this.#dropTargets();
      this.#targets = {
        smooth: new RenderTarget(this.#device, width, height, { samples: 4 }),
        plain: new RenderTarget(this.#device, width, height),
      };
    }
    return this.#targets;
  }

  #dropTargets(): void {
    this.#targets?.smooth.destroy();
    this.#targets?.plain.destroy();
    this.#targets = undefined;
  }
}
