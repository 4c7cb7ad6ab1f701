/** What was made live: its blocks, joined into clips and a motion like those of any run. Only the newest are kept. */
import type { Frames } from '@dwm/media';
import type { Trajectory, TrajectoryFrame } from '@dwm/renderer';
import type { Calls } from '../worker/protocol.ts';

export type Block = Calls['pushLive']['result'];

/** A minute at 8 frames a second; fewer of large pictures, so that three clips of them stay below 120 MB. */
const MOST_FRAMES = 480;
const MOST_PIXELS = 13e6;

interface Kept extends Block {
  readonly frames: readonly TrajectoryFrame[];
  /** One frame where the camera stands. */
  readonly scene: Frames;
}

interface Joined {
  readonly scene: Frames;
  readonly hands: Frames;
  readonly video: Frames;
  readonly trajectory: Trajectory;
  /** Time that the model took. */
  readonly seconds: number;
}

function join(parts: readonly Frames[]): Frames {
  const data = new Uint8Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { ...parts[0], data, frames: parts.reduce((sum, part) => sum + part.frames, 0) };
}

/** @param still what the camera sees to begin with, one frame. */
export class Take {
  readonly #most: number;
  #blocks: Kept[] = [];
  #scene: Frames;
  #frames = 0;

  constructor(still: Frames) {
    this.#scene = still;
    this.#most = Math.min(MOST_FRAMES, Math.floor(MOST_PIXELS / (still.width * still.height)));
  }

  get frames(): number {
    return this.#frames;
  }

  add(block: Block, frames: readonly TrajectoryFrame[]): void {
    const { scene = this.#scene } = block;
    const size = scene.height * scene.width * 3;
    this.#scene = block.scene ? { ...scene, data: scene.data.slice(-size), frames: 1 } : scene;
    this.#blocks.push({ ...block, frames, scene });
    this.#frames += frames.length;
    while (this.#frames > this.#most && this.#blocks.length > 1)
      this.#frames -= this.#blocks.shift()!.frames.length;
  }

  /** All that is kept; there is at least one block. */
  joined(): Joined {
    const blocks = this.#blocks;
    const { fps } = blocks[0].video;
    return {
      scene: join(
        blocks.flatMap(({ scene, frames }) =>
          scene.frames === frames.length ? [scene] : frames.map(() => scene),
        ),
      ),
      hands: join(blocks.map(({ hands }) => hands)),
      video: join(blocks.map(({ video }) => video)),
      trajectory: {
        fps,
        frames: blocks.flatMap(({ frames }) => frames).map((frame, i) => ({ ...frame, seconds: i / fps })),
      },
      seconds: blocks.reduce((sum, { seconds }) => sum + seconds, 0),
    };
  }
}
