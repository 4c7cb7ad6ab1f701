/** One clock for all panes: the frame that is shown now, at the clip's rate, round and round while it plays. */
import { type Accessor, createEffect, createSignal, onCleanup } from 'solid-js';

export interface Clock {
  readonly frame: Accessor<number>;
  readonly playing: Accessor<boolean>;
  readonly looping: Accessor<boolean>;
  play(on: boolean): void;
  loop(on: boolean): void;
  /** Goes to a frame and stays there. */
  seek(frame: number): void;
  /** Begins anew; what is paused stays so. */
  rewind(): void;
}

/** @param seen something of it is on the screen: else it stands. */
export function createClock(frames: Accessor<number>, fps: Accessor<number>, seen: Accessor<boolean>): Clock {
  const [frame, setFrame] = createSignal(0);
  const [playing, play] = createSignal(!matchMedia('(prefers-reduced-motion: reduce)').matches);
  const [looping, loop] = createSignal(true);
  createEffect(() => {
    if (!playing() || !seen()) return;
    const count = frames();
    const timer = setInterval(() => {
      const next = frame() + 1;
      if (next < count) setFrame(next);
      else if (looping()) setFrame(0);
      else play(false);
    }, 1000 / fps());
    onCleanup(() => clearInterval(timer));
  });
  return {
    frame: () => Math.min(frame(), Math.max(0, frames() - 1)),
    playing,
    looping,
    play(on) {
      if (on && frame() >= frames() - 1) setFrame(0);
      play(on);
    },
    loop,
    rewind: () => setFrame(0),
    seek(to) {
      play(false);
      setFrame(to);
    },
  };
}
