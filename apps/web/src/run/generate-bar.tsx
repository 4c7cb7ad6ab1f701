/** The one button, what the run will take, and how far it is. */
import { createSignal, Show } from 'solid-js';
import type { Session } from '../state/session.ts';
import type { GenerateProgress } from '../worker/protocol.ts';

const seconds = (value: number) =>
  value < 90 ? `${value.toFixed(value < 10 ? 1 : 0)} s` : `${Math.round(value / 60)} min`;

const STAGES = {
  text: 'reading the prompt',
  encode: 'encoding the videos',
  denoise: 'denoising',
  decode: 'decoding',
};

function describe({ stage, step, steps, secondsPerStep, secondsLeft }: GenerateProgress): string {
  const parts: string[] = [stage === 'denoise' ? `step ${step} of ${steps}` : STAGES[stage]];
  if (secondsPerStep !== undefined) parts.push(`${seconds(secondsPerStep)} a step`);
  if (stage === 'denoise' && secondsLeft !== undefined) parts.push(`${seconds(secondsLeft)} left`);
  return parts.join(', ');
}

/** Share of the whole run; the denoising is by far the most of it. */
function share({ stage, done }: GenerateProgress): number {
  const [from, to] = { text: [0, 0.02], encode: [0.02, 0.1], denoise: [0.1, 0.93], decode: [0.93, 1] }[stage];
  return from + (to - from) * done;
}

const size = (bytes: number) =>
  bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

const memory = (software?: boolean) => (software ? 'memory' : 'graphics memory');

export function GenerateBar(props: { session: Session; acting: boolean; onAct: (on: boolean) => void }) {
  const { session } = props;
  const { state } = session;
  const [asked, setAsked] = createSignal(false);
  // Pressed while a field still takes effect, it runs with what the field says.
  const able = () =>
    !asked() &&
    state.phase === 'ready' &&
    !state.run &&
    !!state.scene &&
    (!!state.plan?.fits || state.pending > 0);
  const generate = () => {
    props.onAct(false);
    setAsked(true);
    session.generate().finally(() => setAsked(false));
  };
  return (
    <section class="generate" aria-label="Generate">
      <Show
        when={state.run}
        fallback={
          <button type="button" class="main" disabled={!able()} onClick={generate}>
            Generate
          </button>
        }
      >
        <button type="button" class="main" onClick={() => session.cancel()}>
          Cancel
        </button>
      </Show>
      <button
        type="button"
        aria-pressed={props.acting}
        disabled={state.phase !== 'ready' || !!state.run || !!state.videos}
        onClick={() => props.onAct(!props.acting)}
      >
        {props.acting ? 'Back to the videos' : 'Move the hand yourself'}
      </button>
      <div class="progress">
        <Show when={state.run} fallback={<Estimate session={session} />}>
          {(run) => (
            <>
              <progress max="1" value={share(run())} aria-label="Progress of the run" />
              <span role="status">{describe(run())}</span>
            </>
          )}
        </Show>
      </div>
    </section>
  );
}

function Estimate(props: { session: Session }) {
  const { state } = props.session;
  return (
    <Show when={state.plan}>
      {(plan) => (
        <Show
          when={plan().fits}
          fallback={
            <span class="refused" role="alert">
              {Number.isFinite(plan().bytes)
                ? `This run needs ${size(plan().bytes)} of ${memory(state.device?.software)}, ${size(plan().limit)} are allowed.`
                : 'The device cannot hold this run at all.'}{' '}
              <Show when={plan().instead} fallback="No size of this model would fit.">
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
            </span>
          }
        >
          <span>{`takes ${size(plan().bytes)} of ${memory(state.device?.software)}`}</span>
        </Show>
      )}
    </Show>
  );
}
