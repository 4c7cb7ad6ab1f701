/** A labelled clip at the clock's frame. */
import { createEffect, type JSX, onMount, Show } from 'solid-js';
import type { Clip } from '../worker/protocol.ts';
import { drawFrame } from './picture.ts';

export function Pane(props: {
  label: string;
  clip: Clip | undefined;
  frame: number;
  /** The clip stands in for one that is not there yet. */
  poster?: boolean;
  /** Under the picture: what it is, or why it is not there. */
  note?: string;
  children?: JSX.Element;
}) {
  let canvas!: HTMLCanvasElement;
  const draw = () => {
    if (props.clip) drawFrame(canvas, props.clip, props.frame);
    else canvas.getContext('2d')!.clearRect(0, 0, canvas.width, canvas.height);
  };
  createEffect(draw);
  // With the graphics process a canvas loses its picture too.
  onMount(() => canvas.addEventListener('contextrestored', draw));
  return (
    <figure class="pane" data-pane={props.label.toLowerCase()}>
      <figcaption>
        <span>{props.label}</span>
        <Show when={props.note}>
          <small>{props.note}</small>
        </Show>
      </figcaption>
      <div class="picture">
        <canvas
          ref={canvas}
          classList={{ poster: props.poster }}
          role="img"
          aria-label={`${props.label}, frame ${props.frame + 1}`}
        />
        {props.children}
      </div>
    </figure>
  );
}
