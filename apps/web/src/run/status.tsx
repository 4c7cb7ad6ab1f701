/** What is to be known of what is shown, and what went wrong, in one line each. */
import { For, Show } from 'solid-js';
import type { Session } from '../state/session.ts';
import { Refusal } from './generate-bar.tsx';

export function Status(props: { session: Session }) {
  const { engine, model, notice, room, run } = props.session;
  const notes = () => {
    const { videos, info } = room.state;
    const limit = !videos && info && info.seed === undefined && model.state.info?.limit;
    const given = videos ? videos.notes : info?.notes;
    const warnings = run.state.generated?.warnings;
    return new Set([...(limit ? [limit] : []), ...(given ?? []), ...(warnings ?? [])]);
  };
  return (
    <>
      <For each={[...notes()]}>{(line) => <p class="hint">{line}</p>}</For>
      <Refusal session={props.session} />
      <Show when={notice.line()}>
        {(error) => (
          <div class="error" role="alert">
            <span>{error()}</span>
            <Show
              when={engine.state.phase === 'lost' || engine.state.phase === 'failed'}
              fallback={
                <button type="button" onClick={() => props.session.notice.dismiss()}>
                  Close
                </button>
              }
            >
              <button type="button" class="main" onClick={() => props.session.restart()}>
                Start again
              </button>
            </Show>
          </div>
        )}
      </Show>
    </>
  );
}
