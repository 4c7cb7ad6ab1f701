/** The room with the hand in it, drawn by the worker at the screen's resolution into a canvas of the page's. */
import { enlargedIntrinsics, type Intrinsics, type TrajectoryFrame } from '@dwm/renderer';
import { onMount } from 'solid-js';
import { unwrap } from 'solid-js/store';
import type { Session } from '../state/session.ts';

/** Pixels of the picture's longer side; a software device draws a part of them. */
const LONGEST = { hardware: 1280, software: 480 };
/** In the corner of what the model draws, as a share of that. */
const SMALL = 0.4;

/** A run's lens for a picture of the screen's size. */
export function liveLens(own: Intrinsics, software: boolean, small = false): Intrinsics {
  const longest = (software ? LONGEST.software : LONGEST.hardware) * (small ? SMALL : 1);
  const scale = longest / Math.max(own.width, own.height);
  const { width, height, ...lens } = enlargedIntrinsics(own, scale);
  return { ...lens, width: Math.round(width), height: Math.round(height) };
}

/** @param onReady is given what draws a frame; its promise is kept once the picture is there. */
export function LiveRoom(props: {
  session: Session;
  onReady: (look: (frame: TrajectoryFrame) => Promise<void>) => void;
}) {
  let canvas!: HTMLCanvasElement;
  onMount(() => {
    const engine = props.session.engine.client();
    const offscreen = canvas.transferControlToOffscreen();
    engine
      .call('attachView', offscreen, { transfer: [offscreen] })
      .then(() => props.onReady((frame) => engine.call('look', { frame: unwrap(frame) })))
      .catch((error) => props.session.notice.show(error));
  });
  return (
    <canvas
      ref={canvas}
      class="live"
      width="480"
      height="320"
      role="img"
      aria-label="The room with the hand"
    />
  );
}
