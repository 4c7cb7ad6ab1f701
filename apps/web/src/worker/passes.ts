/** The two videos that the model is given, drawn frame by frame: the room without hands, and the hands alone on black. */
import type { Device } from '@dwm/core-tensor';
import type { Frames } from '@dwm/media';
import { ClipReadback, HandRenderer, PosedHands, RenderTarget, type Trajectory } from '@dwm/renderer';
import { handScene } from '@dwm/synth';
import type { Conditioning } from './protocol.ts';
import type { Room } from './room.ts';
import type { CallContext } from './serve.ts';

type Poses = Trajectory['frames'];

/** Of one picture size. */
export class Passes {
  readonly #device: Device;
  readonly #width: number;
  readonly #height: number;
  readonly #smooth: RenderTarget;
  readonly #plain: RenderTarget;
  readonly #renderer: HandRenderer;
  readonly #posed: PosedHands;
  /** By its frames. */
  readonly #readbacks = new Map<number, ClipReadback>();

  constructor(device: Device, { width, height }: { readonly width: number; readonly height: number }) {
    this.#device = device;
    this.#width = width;
    this.#height = height;
    this.#smooth = new RenderTarget(device, width, height, { samples: 4 });
    this.#plain = new RenderTarget(device, width, height);
    this.#renderer = new HandRenderer(device);
    this.#posed = new PosedHands(device, { rigs: { left: handScene('left'), right: handScene('right') } });
  }

  /** @returns RGB bytes [frames, height, width, 3]. */
  async room(room: Room, frames: Poses, onFrame = (_: number) => {}): Promise<Uint8Array> {
    const size = this.#height * this.#width * 3;
    const data = new Uint8Array(frames.length * size);
    const readback = this.#readback(frames.length);
    for (const [i, { intrinsics, camera }] of frames.entries()) {
      const drawn = await room.draw({ intrinsics, pose: camera }, this.#smooth, undefined);
      if (drawn) data.set(drawn, i * size);
      else readback.copy(this.#smooth.color, i);
      onFrame(i);
    }
    return room.hasSplats ? data : readback.read();
  }

  /** The same of the hands. */
  hands(frames: Poses, onFrame = (_: number) => {}): Promise<Uint8Array> {
    const readback = this.#readback(frames.length);
    for (const [i, { intrinsics, camera, hands }] of frames.entries()) {
      this.#renderer.draw(this.#posed.pose(hands), { intrinsics, pose: camera }, this.#plain);
      readback.copy(this.#plain.color, i);
      onFrame(i);
    }
    return readback.read();
  }

  destroy(): void {
    for (const held of [this.#smooth, this.#plain, this.#renderer, this.#posed]) held.destroy();
    for (const readback of this.#readbacks.values()) readback.destroy();
  }

  #readback(frames: number): ClipReadback {
    let readback = this.#readbacks.get(frames);
    if (!readback) {
      readback = new ClipReadback(this.#device, frames, this.#width, this.#height);
      this.#readbacks.set(frames, readback);
    }
    return readback;
  }
}

/** @throws the signal's reason. */
export async function conditioning(
  device: Device,
  room: Room,
  { frames, fps }: Trajectory,
  { signal, report }: CallContext<{ done: number }>,
): Promise<Conditioning> {
  const { width, height } = frames[0].intrinsics;
  const passes = new Passes(device, { width, height });
  const clip = (data: Uint8Array): Frames => ({ data, frames: frames.length, height, width, fps });
  const onFrame = (half: number) => (i: number) => {
    signal.throwIfAborted();
    report({ done: (half + (i + 1) / frames.length) / 2 });
  };
  try {
    const scene = clip(await passes.room(room, frames, onFrame(0)));
    return { scene, hands: clip(await passes.hands(frames, onFrame(1))) };
  } finally {
    passes.destroy();
  }
}
