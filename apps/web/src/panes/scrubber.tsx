/** The one time line of all panes. Frames in which no hand is seen are marked. */
import { For } from 'solid-js';
import type { Clock } from './clock.ts';

export function Scrubber(props: { clock: Clock; frames: number; fps: number; dropouts: readonly boolean[] }) {
  const time = () => `${(props.clock.frame() / props.fps).toFixed(2)} s`;
  return (
    <div class="scrubber">
      <button
        type="button"
        aria-label={props.clock.playing() ? 'Pause' : 'Play'}
        onClick={() => props.clock.play(!props.clock.playing())}
      >
        {props.clock.playing() ? '❚❚' : '▶'}
      </button>
      <div class="track">
        <input
          type="range"
          min="0"
          max={Math.max(0, props.frames - 1)}
          value={props.clock.frame()}
          aria-label="Frame"
          aria-valuetext={`frame ${props.clock.frame() + 1} of ${props.frames}${props.dropouts[props.clock.frame()] ? ', no hand seen' : ''}`}
          onInput={(event) => props.clock.seek(event.currentTarget.valueAsNumber)}
        />
        <div class="marks" aria-hidden="true">
          <For each={props.dropouts}>
            {(missing) => <span classList={{ missing }} title={missing ? 'no hand seen' : undefined} />}
          </For>
        </div>
      </div>
      <output>{time()}</output>
      <label class="check">
        <input
          type="checkbox"
          checked={props.clock.looping()}
          onChange={(event) => props.clock.loop(event.currentTarget.checked)}
        />
        Loop
      </label>
    </div>
  );
}
