/** A clip of the model's or the simulator's, its pixels as large as the place allows, at the clock's frame. */
import type { Frames } from '@dwm/media';
import { createEffect, onMount } from 'solid-js';
import { drawFrame } from '../panes/picture.ts';

export function Picture(props: { name: string; label: string; clip: Frames | undefined; frame: number }) {
  let canvas!: HTMLCanvasElement;
  const draw = () => {
    if (props.clip) drawFrame(canvas, props.clip, props.frame);
  };
  createEffect(draw);
  // With the graphics process a canvas loses its picture too.
  onMount(() => canvas.addEventListener('contextrestored', draw));
  return (
    <canvas
      ref={canvas}
      class="pixels"
      data-picture={props.name}
      role="img"
      aria-label={`${props.label}, frame ${props.frame + 1}`}
    />
  );
}
