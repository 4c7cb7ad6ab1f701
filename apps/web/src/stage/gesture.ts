/** From the moment a hand is taken until it is let go: what there is to see of it, at a run's rate. */

interface Gesture {
  /** The hand was taken; nothing where it is held already. */
  begin(): void;
  /** The hand was let go, or, by keys, is still for a while. */
  end(): void;
  /** By keys: the hand is let go when none comes any more. */
  nudged(): void;
  stop(): void;
}

/** Milliseconds after the last key. */
const IDLE = 900;
/** Longer motions are played faster; nobody means to drag this long. */
const MOST_SECONDS = 20;

export function createGesture<T>(
  now: () => T,
  fps: () => number,
  onTaken: () => void,
  onDone: (samples: readonly T[]) => void,
): Gesture {
  let samples: T[] = [];
  let timer: ReturnType<typeof setInterval> | undefined;
  let idle: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    clearInterval(timer);
    clearTimeout(idle);
    timer = undefined;
  };
  const gesture = {
    begin() {
      if (timer !== undefined) return;
      onTaken();
      samples = [now()];
      timer = setInterval(() => {
        if (samples.length < MOST_SECONDS * fps()) samples.push(now());
      }, 1000 / fps());
    },
    end() {
      if (timer === undefined) return;
      stop();
      onDone([...samples, now()]);
    },
    nudged() {
      gesture.begin();
      clearTimeout(idle);
      idle = setTimeout(gesture.end, IDLE);
    },
    stop,
  };
  return gesture;
}
