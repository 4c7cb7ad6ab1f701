/**
 * What the visitor sees while moving: the room and the hands, drawn into the page's canvas from here. Only the newest
 * view is drawn; those that came while the last one was drawn are left out. The pixels are read back: a canvas that
 * WebGPU presents itself takes the whole device down where the adapter is a software one (Chromium 156, SwiftShader).
 */
import type { Device } from '@dwm/core-tensor';
import { RenderTarget, readColor, type TrajectoryFrame } from '@dwm/renderer';
import type { Room } from './room.ts';

export class LiveView {
  readonly #device: Device;
  readonly #canvas: OffscreenCanvas;
  readonly #context: OffscreenCanvasRenderingContext2D;
  #target: RenderTarget | undefined;
  #next: TrajectoryFrame | undefined;
  #drawing: Promise<void> | undefined;

  constructor(device: Device, canvas: OffscreenCanvas) {
    this.#device = device;
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { alpha: false })!;
  }

  /** @param frame its intrinsics decide the canvas's size. */
  show(room: Room, frame: TrajectoryFrame): Promise<void> {
    this.#next = frame;
    this.#drawing ??= this.#drawAll(room).finally(() => {
      this.#drawing = undefined;
    });
    return this.#drawing;
  }

  destroy(): void {
    this.#target?.destroy();
  }

  async #drawAll(room: Room): Promise<void> {
    while (this.#next) {
      const { intrinsics, camera, hands } = this.#next;
      this.#next = undefined;
      const { width, height } = intrinsics;
      if (this.#target?.width !== width || this.#target.height !== height) {
        this.#target?.destroy();
        const samples = this.#device.caps.adapter.kind === 'hardware' ? 4 : 1;
        this.#target = new RenderTarget(this.#device, width, height, { samples });
        Object.assign(this.#canvas, { width, height });
      }
      const drawn = await room.draw({ intrinsics, pose: camera }, this.#target, hands);
      this.#put(drawn ?? (await readColor(this.#device, this.#target.color)), width, height);
    }
  }

  #put(rgb: Uint8Array, width: number, height: number): void {
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[i * 4 + c] = rgb[i * 3 + c];
      image.data[i * 4 + 3] = 255;
    }
    this.#context.putImageData(image, 0, 0);
  }
}
