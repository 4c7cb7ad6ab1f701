/** What can be done on the stage beyond the one drag that it asks for, below it until there is something to play. */
import { Match, Show, Switch } from 'solid-js';
import type { Session } from '../state/session.ts';

export function HowTo(props: { session: Session }) {
  const { engine, tasks, room } = props.session;
  return (
    <p class="how-to">
      <Switch>
        <Match when={tasks.at('under')}>
          {(task) => (
            <>
              {task().what}{' '}
              <Show when={task().done > 0}>
                <progress max="1" value={task().done} aria-label="Progress of getting ready" />
              </Show>
            </>
          )}
        </Match>
        <Match when={engine.state.phase === 'starting'}>
          This is a recording of the model. Once the room is there, the hand is yours: drag it, let go, and
          see.
        </Match>
        <Match when={engine.state.phase === 'ready' && !room.state.videos}>
          <span class="with-mouse">
            Beside the hand: look around. Wheel while you drag: nearer and farther. Keys: arrows, with Shift
            to look around, W A S D; H brings the hand back.
          </span>
          <span class="with-touch">
            One finger beside the hand: look around. Two fingers: nearer and farther.
          </span>
        </Match>
      </Switch>
    </p>
  );
}
