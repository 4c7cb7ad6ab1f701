/** A labelled clip at the clock's frame. */
import type { Frames } from '@dwm/media';
import { Show } from 'solid-js';
import { Picture } from '../stage/picture.tsx';

export function Pane(props: {
  label: string;
  clip: Frames | undefined;
  frame: number;
  /** Under the picture: what it is, or why it is not there. */
  note?: string;
}) {
  return (
    <figure class="pane">
      <figcaption>
        <span>{props.label}</span>
        <Show when={props.note}>
          <small>{props.note}</small>
        </Show>
      </figcaption>
      <div class="picture">
        <Picture name={props.label.toLowerCase()} label={props.label} clip={props.clip} frame={props.frame} />
      </div>
    </figure>
  );
}
