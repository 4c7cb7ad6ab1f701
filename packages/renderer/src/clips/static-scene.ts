/**
 * A scene of meshes, splats or both on the device, drawn one view at a time. Where there are both, meshes are drawn
 * first and the splats into their picture, hiding and being hidden by depth.
 */
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import { readColor, readFrame } from '../gpu/frame-tensors.ts';
import { MeshRenderer } from '../gpu/mesh-renderer.ts';
import type { RenderTarget } from '../gpu/render-target.ts';
import { SceneModel, type SceneModelOptions } from '../gpu/scene-model.ts';
import { DEFAULT_NEAR, type View } from '../gpu/view.ts';
import type { Scene } from '../scene/scene.ts';
import type { SplatCloud } from '../splats/cloud.ts';
import { readSplatImage } from '../splats/read-image.ts';
import { SplatRenderer } from '../splats/renderer.ts';
import { SplatScene } from '../splats/scene.ts';

/** What readers make of files. */
export interface SceneParts {
  readonly meshes?: Scene;
  readonly splats?: SplatCloud;
}

/** A drawn frame. */
export interface Picture {
  /** Displayed bytes [height, width, 3]. */
  readonly rgb: Uint8Array;
  /** Where asked for: metres along the viewing axis [height, width], 0 where nothing is. */
  readonly depth?: Float32Array;
}

/** Meshes, splats or both, drawn into one picture. */
export class StaticScene {
  readonly device: Device;
  readonly #meshes?: { readonly model: SceneModel; readonly renderer: MeshRenderer };
  readonly #splats?: { readonly scene: SplatScene; readonly renderer: SplatRenderer };

  private constructor(device: Device, model?: SceneModel, splats?: SplatScene) {
    this.device = device;
    if (model) this.#meshes = { model, renderer: new MeshRenderer(device) };
    if (splats) this.#splats = { scene: splats, renderer: new SplatRenderer(device) };
  }

  /**
   * Copies everything to the device.
   * @throws InvalidArgumentError for no parts, InvalidFileError for a damaged picture, OutOfMemoryError.
   */
  static async load(
    device: Device,
    { meshes, splats }: SceneParts,
    options?: SceneModelOptions,
  ): Promise<StaticScene> {
    if (!meshes && !splats) throw new InvalidArgumentError('scene', 'is empty, expected meshes or splats');
    const model = meshes && (await SceneModel.load(device, meshes, options));
    try {
      return new StaticScene(device, model, splats && new SplatScene(device, splats));
    } catch (error) {
      model?.destroy();
      throw error;
    }
  }

  /** @param target of the view's size; its samples say whether the edges of meshes are smooth. */
  async render(view: View, target: RenderTarget, { depth = false } = {}): Promise<Picture> {
    const { device } = this;
    if (this.#meshes) this.#meshes.renderer.draw(this.#meshes.model, view, target);
    if (!this.#splats) {
      const rgb = await readColor(device, target.color);
      if (!depth) return { rgb };
      const metres = await readFrame(device, target.depth, 'depth', view.near ?? DEFAULT_NEAR);
      return { rgb, depth: metres as Float32Array };
    }
    const { scene, renderer } = this.#splats;
    const image = await renderer.render(scene, view, { over: this.#meshes && target });
    try {
      const pixels = await readSplatImage(device, image);
      const rgb = Uint8Array.from(pixels.rgb, (value) => Math.round(255 * value));
      return depth ? { rgb, depth: pixels.depth } : { rgb };
    } finally {
      image.destroy();
    }
  }

  destroy(): void {
    for (const held of [
      this.#meshes?.model,
      this.#meshes?.renderer,
      this.#splats?.scene,
      this.#splats?.renderer,
    ])
      held?.destroy();
  }
}
