/** A recording that plays by itself, or stands still for those who want nothing that moves. */
import { clipOf } from './clips.ts';

export function Recording(props: {
  seed: number | undefined;
  label: string;
  class?: string;
  shown?: boolean;
  /** The device has other things to draw. */
  still?: boolean;
}) {
  return (
    <picture>
      <source
        media={props.still ? 'all' : '(prefers-reduced-motion: reduce)'}
        srcset={clipOf(props.seed).still}
      />
      <img
        class={`pixels ${props.class ?? ''}`}
        classList={{ shown: props.shown }}
        src={clipOf(props.seed).moving}
        width="96"
        height="64"
        alt={props.label}
      />
    </picture>
  );
}
