/** Buttons that let a webcam or a headset move the hands. */
import { createSignal, onCleanup, Show } from 'solid-js';
import type { Session } from '../state/session.ts';
import { HAS_HAND_WEIGHTS } from './hand-weights.ts';
import type { Tracked } from './tracked.ts';
import { followWebcam, openWebcam } from './webcam.ts';

export function Trackers(props: { session: Session; onTracked: (tracked: Tracked | undefined) => void }) {
  const { engine, notice, queue } = props.session;
  const [following, setFollowing] = createSignal<AbortController>();
  const [headset, setHeadset] = createSignal(false);
  import('./webxr.ts').then(({ hasHeadset }) => hasHeadset()).then(setHeadset, () => {});

  const end = () => following()?.abort();
  onCleanup(end);
  /** @param follow goes on until the signal, or until there is nothing more to follow. */
  const begin = async (follow: (signal: AbortSignal) => Promise<void>) => {
    const mine = new AbortController();
    setFollowing(mine);
    try {
      await follow(mine.signal);
    } catch (error) {
      if (!mine.signal.aborted) notice.show(error);
    } finally {
      setFollowing(undefined);
      props.onTracked(undefined);
    }
  };
  const byWebcam = async (signal: AbortSignal) => {
    const stream = await openWebcam();
    const client = engine.client();
    // While the model draws, the device is the model's.
    const find = async (picture: ImageBitmap) => {
      if (!props.session.busy()) return client.call('findHands', picture, { transfer: [picture] });
      picture.close();
      return undefined;
    };
    const opened = await queue.attempt('stage', (task) => {
      task.say('Loading what finds your hands …');
      return task.call('openHands', undefined);
    });
    const stop = opened ? signal : AbortSignal.abort();
    await followWebcam(stream, find, (hands) => props.onTracked({ hands }), stop).finally(() =>
      // An engine that is gone has nothing open any more.
      client.call('closeHands', undefined).catch(() => {}),
    );
  };
  const byHeadset = async (signal: AbortSignal) => {
    const { followHeadset } = await import('./webxr.ts');
    await followHeadset(props.onTracked, signal);
  };

  return (
    <fieldset class="buttons">
      <legend>Your own hands</legend>
      <Show
        when={!following()}
        fallback={
          <button type="button" onClick={end}>
            Stop following
          </button>
        }
      >
        <Show when={HAS_HAND_WEIGHTS}>
          <button type="button" disabled={props.session.busy()} onClick={() => begin(byWebcam)}>
            By webcam
          </button>
        </Show>
        <Show when={headset()}>
          <button type="button" onClick={() => begin(byHeadset)}>
            By headset
          </button>
        </Show>
      </Show>
      <Show when={HAS_HAND_WEIGHTS}>
        <p class="hint wide">The webcam's pictures stay in this page.</p>
      </Show>
    </fieldset>
  );
}
