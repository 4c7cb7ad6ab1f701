/** A model that answers while the hand moves: hands are drawn, pushed block by block, and what they lead to comes back. */
import { type Device, Turns } from '@dwm/core-tensor';
import { DwmStream } from '@dwm/dwm-model/live';
import type { Frames } from '@dwm/media';
import type { TrajectoryFrame } from '@dwm/renderer';
import type { LoadedModel } from './model.ts';
import { Passes } from './passes.ts';
import type { Calls, Settings } from './protocol.ts';
import type { Room } from './room.ts';

const sameCamera = (a: TrajectoryFrame, b: TrajectoryFrame) =>
  a.camera.matrix.every((value, i) => value === b.camera.matrix[i]);

/** @throws what `DwmStream.open` throws: the model looks both ways, or the settings are not for a live run. */
const openStream = (
  { pipeline, embeds }: LoadedModel,
  scene: Frames,
  settings: Settings,
): Promise<DwmStream> =>
  DwmStream.open(pipeline, {
    scene,
    prompt: embeds ?? settings.prompt,
    seed: settings.seed,
    numInferenceSteps: settings.steps,
    guidanceScale: settings.guidance,
    composite: settings.composite,
  });

/** A run in a room that goes on as long as its visitor likes. */
export class LiveRun {
  readonly #device: Device;
  readonly #room: Room;
  readonly #passes: Passes;
  readonly #stream: DwmStream;
  /** What the still camera sees, [1, height, width, 3]. */
  readonly #scene: Frames;
  #last: TrajectoryFrame;
  readonly #first: TrajectoryFrame;
  readonly #turns = new Turns();

  private constructor(
    device: Device,
    room: Room,
    passes: Passes,
    stream: DwmStream,
    scene: Frames,
    frame: TrajectoryFrame,
  ) {
    this.#device = device;
    this.#room = room;
    this.#passes = passes;
    this.#stream = stream;
    this.#scene = scene;
    this.#first = frame;
    this.#last = frame;
  }

  /** @param frame what the camera sees to begin with. */
  static async open(
    device: Device,
    model: LoadedModel,
    room: Room,
    { frame, settings }: Calls['openLive']['argument'],
  ): Promise<LiveRun> {
    const { width, height } = frame.intrinsics;
    const passes = new Passes(device, { width, height });
    try {
      const scene = { data: await passes.room(room, [frame]), frames: 1, height, width, fps: settings.fps };
      return new LiveRun(device, room, passes, await openStream(model, scene, settings), scene, frame);
    } catch (error) {
      passes.destroy();
      throw error;
    }
  }

  get opened(): Calls['openLive']['result'] {
    return { ...this.#stream.blockFrames, scene: { ...this.#scene, data: this.#scene.data.slice() } };
  }

  /** @throws LiveBusyError for a third push; what a push throws. */
  async push(frames: readonly TrajectoryFrame[], signal: AbortSignal): Promise<Calls['pushLive']['result']> {
    const { hands, scene } = await this.#turns.take(() => this.#draw(frames));
    const began = performance.now();
    const { fps } = this.#scene;
    const video = await this.#stream.push({ hands, ...(scene && { static: scene }) }, signal);
    return {
      video: { ...video, fps },
      hands,
      scene,
      seconds: (performance.now() - began) / 1000,
      held: this.#device.memory.allocated,
    };
  }

  /** The room as it was, in as many frames as nobody has pushed yet. */
  async reset(): Promise<void> {
    this.#last = this.#first;
    await this.#stream.reset();
  }

  async destroy(): Promise<void> {
    await this.#stream.destroy();
    await this.#turns.take(async () => this.#passes.destroy());
  }

  /** The scene only where the camera moves. */
  async #draw(frames: readonly TrajectoryFrame[]): Promise<{ hands: Frames; scene?: Frames }> {
    const stands = frames.every((frame) => sameCamera(frame, this.#last));
    this.#last = frames.at(-1)!;
    const clip = (data: Uint8Array): Frames => ({ ...this.#scene, data, frames: frames.length });
    const scene = stands ? undefined : clip(await this.#passes.room(this.#room, frames));
    return { hands: clip(await this.#passes.hands(frames)), ...(scene && { scene }) };
  }
}
