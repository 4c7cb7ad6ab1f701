/** Rooms to choose from, each playing what the model drew there; then any other, and one's own. */
import { For } from 'solid-js';
import type { Session } from '../state/session.ts';
import { Recording } from './recording.tsx';
import { GALLERY } from './rooms.ts';

export function Gallery(props: { session: Session; onOwn: () => void }) {
  const { session } = props;
  const { room } = session;
  const busy = () => session.busy();
  const atWork = () => session.live.state.moving || !!session.run.state.progress;
  const current = () => {
    const ref = room.state.opening ?? room.state.ref;
    return ref.kind === 'synthetic' ? ref.seed : undefined;
  };
  return (
    <section class="gallery" aria-label="Rooms to try">
      <h2>Rooms to try</h2>
      <ul>
        <For each={GALLERY}>
          {({ seed, name }) => (
            <li>
              <button
                type="button"
                class="room"
                disabled={busy()}
                aria-current={seed === current() && !room.state.videos}
                onClick={() => session.useRoom({ kind: 'synthetic', seed, exact: true })}
              >
                <Recording seed={seed} label="" still={atWork()} />
                {name}
              </button>
            </li>
          )}
        </For>
      </ul>
      <div class="buttons">
        <button
          type="button"
          disabled={busy()}
          onClick={() => session.useRoom({ kind: 'synthetic', seed: (current() ?? GALLERY[0].seed) + 1 })}
        >
          Another room
        </button>
        <button type="button" onClick={props.onOwn}>
          Your own room, videos or model
        </button>
      </div>
    </section>
  );
}
