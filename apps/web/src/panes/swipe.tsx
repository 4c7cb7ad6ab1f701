/** Before and after on top of one another, with a divider to drag: the room as it was, and as the hand leaves it. */
import type { Frames } from '@dwm/media';
import { createEffect, createSignal } from 'solid-js';
import { drawFrame } from './picture.ts';

export function Swipe(props: { before: Frames; after: Frames; frame: number }) {
  const [share, setShare] = createSignal(50);
  let below!: HTMLCanvasElement;
  let above!: HTMLCanvasElement;
  createEffect(() => drawFrame(below, props.after, props.frame));
  createEffect(() => drawFrame(above, props.before, props.frame));
  createEffect(() => above.style.setProperty('--share', `${share()}%`));
  return (
    <figure class="pane swipe" data-pane="swipe">
      <figcaption>
        <span>Scene</span>
        <span>Generated</span>
      </figcaption>
      <div class="picture">
        <canvas ref={below} role="img" aria-label={`Generated, frame ${props.frame + 1}`} />
        <canvas ref={above} class="above" role="img" aria-label={`Scene, frame ${props.frame + 1}`} />
      </div>
      <input
        type="range"
        min="0"
        max="100"
        value={share()}
        aria-label="How much of the scene covers the generated video, percent"
        onInput={(event) => setShare(event.currentTarget.valueAsNumber)}
      />
    </figure>
  );
}
