/** A run by a button, what it takes, and what came of the last one; a run that does not fit. */
import { createSignal, Show } from 'solid-js';
import type { Session } from '../state/session.ts';

const size = (bytes: number) =>
  bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

const memory = (software?: boolean) => (software ? 'memory' : 'graphics memory');

export function GenerateBar(props: { session: Session }) {
  const { session } = props;
  const { engine, room, run, queue } = session;
  const [asked, setAsked] = createSignal(false);
  // Pressed while a field still takes effect, it runs with what the field says.
  const able = () =>
    !asked() &&
    engine.state.phase === 'ready' &&
    !run.state.progress &&
    !!room.state.scene &&
    (!!run.state.plan?.fits || queue.waiting() > 0);
  const generate = () => {
    setAsked(true);
    session.generate().finally(() => setAsked(false));
  };
  return (
    <div class="buttons">
      <button type="button" disabled={!able()} onClick={generate}>
        Generate
      </button>
      <Show when={run.state.plan?.fits && run.state.plan}>
        {(plan) => (
          <span data-held={plan().held}>
            {`takes ${size(plan().bytes)} of ${memory(engine.state.device?.software)}`}
          </span>
        )}
      </Show>
      <Show when={run.state.generated}>
        {(made) => (
          <span data-made={made().of.seed}>{`The last one took ${made().seconds.toFixed(1)} s`}</span>
        )}
      </Show>
    </div>
  );
}

/** A run that does not fit, and the size that would. */
export function Refusal(props: { session: Session }) {
  const { engine, run } = props.session;
  return (
    <Show when={run.state.plan && !run.state.plan.fits && run.state.plan}>
      {(plan) => (
        <div class="error" role="alert">
          <span>
            {Number.isFinite(plan().bytes)
              ? `This run needs ${size(plan().bytes)} of ${memory(engine.state.device?.software)}, ${size(plan().limit)} are allowed.`
              : 'The device cannot hold this run at all.'}
          </span>
          <Show when={plan().instead} fallback={<span>No size of this model would fit.</span>}>
            {(instead) => (
              <button
                type="button"
                onClick={() => {
                  const { width, height, frames } = instead();
                  props.session.change({ width, height, frames });
                }}
              >
                {`Use ${instead().width}×${instead().height}, ${instead().frames} frames (${size(instead().bytes)})`}
              </button>
            )}
          </Show>
        </div>
      )}
    </Show>
  );
}
