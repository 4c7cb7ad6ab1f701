/** The page's layout: the stage on top, below it rooms to try, what may be asked of the answer, and the settings. */
import { createEffect, createMemo, createSignal, on, onCleanup, onMount, Show } from 'solid-js';
import { About } from './about.tsx';
import { Share } from './export/share.tsx';
import { DropZone } from './files/drop-zone.tsx';
import { SourcesPanel } from './files/sources-panel.tsx';
import { Gallery } from './gallery/gallery.tsx';
import { createClock } from './panes/clock.ts';
import { isEmpty } from './panes/picture.ts';
import { Scrubber } from './panes/scrubber.tsx';
import { SeenByModel } from './panes/seen-by-model.tsx';
import { GenerateBar } from './run/generate-bar.tsx';
import { SettingsPanel } from './run/settings-panel.tsx';
import { Status } from './run/status.tsx';
import { BesideButtons, BesidePanes } from './stage/beside.tsx';
import { createHand } from './stage/hand.ts';
import { HandPanel } from './stage/hand-panel.tsx';
import { HowTo } from './stage/how-to.tsx';
import { Stage } from './stage/stage.tsx';
import { Working } from './stage/working.tsx';
import { createBeside } from './state/beside.ts';
import { createSession } from './state/session.ts';
import type { DeviceInfo } from './worker/protocol.ts';

/** Fields in which a letter is a letter. */
const TYPED_INTO = 'input:not([type=range], [type=checkbox]), textarea, select';

/** A processor that draws what a graphics processor should is no graphics processor. */
const runsOn = ({ name, software }: DeviceInfo) => {
  // Some browsers tell no name.
  const named = name && ` (${name})`;
  return software
    ? `It runs in software on the main processor${named}: this browser offers no graphics processor here, which is slow.`
    : `It runs on your graphics processor${named}.`;
};

export function App() {
  const session = createSession();
  const { engine, room, run, model } = session;
  const hand = createHand(session);
  const beside = createBeside(session);
  const [own, setOwn] = createSignal(false);
  const [given, setGiven] = createSignal(false);
  /** The first picture is there: what lies below it costs it no time. */
  const [painted, setPainted] = createSignal(false);
  const frames = () => room.state.scene?.frames ?? 1;
  const fps = () => room.state.scene?.fps ?? 8;
  const dropouts = createMemo(() => {
    const { hands } = room.state;
    return hands ? Array.from({ length: hands.frames }, (_, i) => isEmpty(hands, i)) : [];
  });
  const busy = () => session.busy() || session.queue.waiting() > 0;
  const stopped = () => engine.state.phase === 'lost' || engine.state.phase === 'failed';
  const answered = () => !!run.state.generated || beside.any();
  const plays = () => answered() || !!run.state.preview || given();
  const clock = createClock(frames, fps, () => plays() && !session.live.state.moving);
  onMount(() => {
    session.start();
    requestAnimationFrame(() => setTimeout(() => setPainted(true)));
    addEventListener('keydown', keys);
  });
  onCleanup(() => removeEventListener('keydown', keys));
  // An answer is seen from its beginning.
  createEffect(
    on(
      () => run.state.generated,
      (made) => made && !session.live.state.moving && clock.rewind(),
      { defer: true },
    ),
  );
  const keys = (event: KeyboardEvent) => {
    const typing = event.target instanceof Element && event.target.closest(TYPED_INTO);
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.code !== 'KeyT') return;
    if (!busy() && beside.able('truth')) beside.toggle('truth');
  };

  return (
    <DropZone session={session}>
      <header>
        <h1>Dexterous World Model</h1>
        <p>Drag a hand in a room. A neural network draws what it does.</p>
      </header>
      <main
        classList={{ compared: beside.any() }}
        aria-busy={busy() && !run.state.progress && !stopped()}
        data-phase={run.state.progress ? 'running' : engine.state.phase}
      >
        <div class="theatre">
          <Stage session={session} hand={hand} clock={clock} />
          <BesidePanes beside={beside} clock={clock} />
        </div>
        {/* One place for both, so that nothing moves when there is something to play. */}
        <div class="under">
          <div classList={{ unseen: plays() }}>
            <HowTo session={session} />
          </div>
          <div classList={{ unseen: !plays() }}>
            <Scrubber clock={clock} frames={frames()} fps={fps()} dropouts={dropouts()} />
          </div>
        </div>
        <Status session={session} />
        <div class="buttons">
          <Share session={session} answered={answered()} />
          <div class="buttons compare" classList={{ unseen: !answered() }}>
            <span class="wide-only">Compare with</span>
            <BesideButtons beside={beside} busy={busy()} />
          </div>
          <Working tasks={session.tasks} at="beside" label="Progress of what is put beside it" />
        </div>
        <Gallery session={session} onOwn={() => setOwn(true)} />
        <About />
        <Show when={painted()}>
          <div class="panels">
            <SourcesPanel session={session} open={own()} onToggle={setOwn} />
            <HandPanel session={session} hand={hand} />
            <details class="panel">
              <summary>Settings</summary>
              <SettingsPanel session={session} />
              <GenerateBar session={session} />
            </details>
            <SeenByModel session={session} clock={clock} onToggle={setGiven} />
          </div>
        </Show>
      </main>
      <footer>
        <p>
          Everything runs in this page.
          <Show when={engine.state.device}>{(device) => <> {runsOn(device())}</>}</Show>
          <Show when={model.state.info}>
            {(model) => (
              <>
                {' '}
                Model: {model().name}
                {model().lora && ` with ${model().lora}`}.
              </>
            )}
          </Show>
        </p>
      </footer>
    </DropZone>
  );
}
