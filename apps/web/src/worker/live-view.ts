/**
 * What the visitor sees while moving: the room and the hands, drawn straight into the page's canvas. Only the newest
 * view is drawn; those that came while the last one was drawn are left out.
 */
import type { Device } from '@dwm/core-tensor';
import { COLOR_FORMAT, RenderTarget, type TrajectoryFrame } from '@dwm/renderer';
import type { Room } from './room.ts';

export class LiveView {
  readonly #device: Device;
  readonly #canvas: OffscreenCanvas;
  readonly #context: GPUCanvasContext;
  #target: RenderTarget | undefined;
  #next: TrajectoryFrame | undefined;
  #drawing: Promise<void> | undefined;

  constructor(device: Device, canvas: OffscreenCanvas) {
    this.#device = device;
    this.#canvas = canvas;
    this.#context = canvas.getContext('webgpu')!;
    this.#context.configure({
      device: device.gpu,
      format: COLOR_FORMAT,
      usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_DST,
      alphaMode: 'opaque',
    });
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
    this.#context.unconfigure();
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
      const rgb = await room.draw({ intrinsics, pose: camera }, this.#target, hands);
      const texture = this.#context.getCurrentTexture();
      if (rgb) this.#write(texture, rgb, width, height);
      else this.#copy(this.#target.color, texture);
      await this.#device.done();
    }
  }

  #copy(color: GPUTexture, texture: GPUTexture): void {
    const encoder = this.#device.gpu.createCommandEncoder({ label: 'live view' });
    encoder.copyTextureToTexture({ texture: color }, { texture }, [texture.width, texture.height]);
    this.#device.gpu.queue.submit([encoder.finish()]);
  }

  #write(texture: GPUTexture, rgb: Uint8Array, width: number, height: number): void {
    const rgba = new Uint8Array(width * height * 4).fill(255);
    for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) rgba[i * 4 + c] = rgb[i * 3 + c];
    this.#device.gpu.queue.writeTexture({ texture }, rgba, { bytesPerRow: width * 4 }, [width, height]);
  }
}
