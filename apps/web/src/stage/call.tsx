/** What to do, drawn where it is done: a ring about the hand, an arrow to where its thing goes, and words. */
import type { Intrinsics } from '@dwm/renderer';
import { createMemo, For, Show } from 'solid-js';
import { projected } from '../scene-editor/camera-rig.ts';
import type { Rigs } from '../scene-editor/controls.ts';
import { startOf, towards } from '../scene-editor/guide.ts';
import { add, scale } from '../scene-editor/vectors.ts';

/** Pixels of a picture that is a thousand wide. */
const RING = 62;
const LEAST_ARROW = 90;
const MOST_ARROW = 190;

export function Call(props: { rigs: Rigs; lens: Intrinsics; hovered: boolean; held: boolean }) {
  const drawn = createMemo(() => {
    const { camera, hand } = props.rigs;
    const to1000 = 1000 / props.lens.width;
    const at = projected(camera, props.lens, hand.position);
    const from = { x: at.x * to1000, y: at.y * to1000 };
    if (!hand.guide) return { from };
    const end = projected(camera, props.lens, add(startOf(hand.guide), scale(towards(hand.guide), 1)));
    const [dx, dy] = [end.x * to1000 - from.x, end.y * to1000 - from.y];
    const way = Math.hypot(dx, dy);
    if (!(way > 1) || !(end.depth > 0)) return { from };
    const length = Math.min(MOST_ARROW, Math.max(LEAST_ARROW, way));
    return { from, angle: (Math.atan2(dy, dx) * 180) / Math.PI, length };
  });
  const height = () => (1000 * props.lens.height) / props.lens.width;
  return (
    <svg
      class="call"
      classList={{ hovered: props.hovered || props.held, held: props.held }}
      viewBox={`0 0 1000 ${height()}`}
      aria-hidden="true"
    >
      <g transform={`translate(${drawn().from.x} ${drawn().from.y})`}>
        {/* A dark edge, so that it is seen on anything: a blurred shadow is slow to draw without a graphics processor. */}
        <For each={['edge', 'line']}>
          {(layer) => (
            <g class={layer}>
              <circle r={RING} />
              <Show when={!props.held && drawn().length}>
                {(length) => (
                  <g transform={`rotate(${drawn().angle})`}>
                    <path class="arrow" d={`M ${RING} 0 h ${length()} m -26 -20 l 26 20 l -26 20`} />
                  </g>
                )}
              </Show>
            </g>
          )}
        </For>
      </g>
    </svg>
  );
}
