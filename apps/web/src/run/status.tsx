/** What is to be known of what is shown, and what went wrong, in one line each. */
import { For, Show } from 'solid-js';
import type { Session } from '../state/session.ts';
import { Refusal } from './generate-bar.tsx';

export function Status(props: { session: Session }) {
  const { state } = props.session;
  const notes = () => {
    const { videos, room, model, generated } = state;
    const limit = !videos && room && room.seed === undefined && model?.limit;
    const given = videos ? videos.notes : room?.notes;
    return new Set([...(limit ? [limit] : []), ...(given ?? []), ...(generated?.warnings ?? [])]);
  };
  return (
    <>
      <For each={[...notes()]}>{(line) => <p class="hint">{line}</p>}</For>
      <Refusal session={props.session} />
      <Show when={state.error}>
        {(error) => (
          <div class="error" role="alert">
            <span>{error()}</span>
            <Show
              when={state.phase === 'lost' || state.phase === 'failed'}
              fallback={
                <button type="button" onClick={() => props.session.dismiss()}>
                  Close
                </button>
              }
            >
              <button type="button" onClick={() => props.session.restart()}>
                Start again
              </button>
            </Show>
          </div>
        )}
      </Show>
    </>
  );
}
