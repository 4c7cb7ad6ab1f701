/** Buttons that let a webcam or a headset move the hands. */
import { createSignal, onCleanup, Show } from 'solid-js';
import type { Session } from '../state/session.ts';
import type { Tracked } from './tracked.ts';

const MODEL_ADDRESS =
  'https://storage.googleapis.com/mediapipe-models/hand_landmarker/hand_landmarker/float16/1/hand_landmarker.task';

export function Trackers(props: { session: Session; onTracked: (tracked: Tracked | undefined) => void }) {
  const [stop, setStop] = createSignal<() => void>();
  const [starting, setStarting] = createSignal(false);
  const [headset, setHeadset] = createSignal(false);
  import('./webxr.ts').then(({ hasHeadset }) => hasHeadset()).then(setHeadset, () => {});

  const end = () => {
    stop()?.();
    setStop(undefined);
    props.onTracked(undefined);
  };
  onCleanup(end);
  const begin = async (follow: () => Promise<() => void>) => {
    end();
    setStarting(true);
    try {
      const stopping = await follow();
      setStop(() => stopping);
    } catch (error) {
      props.session.notice.show(error);
    } finally {
      setStarting(false);
    }
  };
  const fail = (error: unknown) => {
    end();
    props.session.notice.show(error);
  };

  return (
    <fieldset class="fields">
      <legend>Your own hands</legend>
      <Show
        when={!stop()}
        fallback={
          <button type="button" onClick={end}>
            Stop following
          </button>
        }
      >
        <label>
          By webcam: pick a hand landmarker model (.task)
          <input
            type="file"
            accept=".task"
            disabled={starting()}
            onChange={async (event) => {
              const input = event.currentTarget;
              const [file] = input.files ?? [];
              if (!file) return;
              const model = new Uint8Array(await file.arrayBuffer());
              input.value = '';
              const { followWebcam } = await import('./webcam.ts');
              begin(() => followWebcam(model, props.onTracked, fail));
            }}
          />
        </label>
        <p class="hint wide">
          The page fetches no model by itself. Google's is at <span class="address">{MODEL_ADDRESS}</span>
        </p>
        <Show when={headset()}>
          <button
            type="button"
            disabled={starting()}
            onClick={() =>
              begin(async () => {
                const { followHeadset } = await import('./webxr.ts');
                return followHeadset(props.onTracked, end);
              })
            }
          >
            By headset
          </button>
        </Show>
      </Show>
    </fieldset>
  );
}
