/** The page's layout: panes on top, and below them what a visitor can do. */
import { createEffect, createMemo, createSignal, Match, onMount, Show, Switch } from 'solid-js';
import { TakeAway } from './export/take-away.tsx';
import { DropZone } from './files/drop-zone.tsx';
import { SourcesPanel } from './files/sources-panel.tsx';
import { createClock } from './panes/clock.ts';
import { Panes } from './panes/panes.tsx';
import { isEmpty } from './panes/picture.ts';
import { Scrubber } from './panes/scrubber.tsx';
import { GenerateBar } from './run/generate-bar.tsx';
import { SettingsPanel } from './run/settings-panel.tsx';
import { Status } from './run/status.tsx';
import { Editor } from './scene-editor/editor.tsx';
import { createSession } from './state/session.ts';
import type { DeviceInfo } from './worker/protocol.ts';

/** A processor that draws what a graphics processor should is no graphics processor. */
const runsOn = ({ name, software }: DeviceInfo) =>
  software
    ? `It runs in software on the main processor (${name}): this browser offers no graphics processor here, which is slow.`
    : `It runs on your graphics processor (${name}).`;

export function App() {
  const session = createSession();
  const { state } = session;
  const [acting, setActing] = createSignal(false);
  const frames = () => state.scene?.frames ?? 1;
  const fps = () => state.scene?.fps ?? 8;
  const clock = createClock(frames, fps);
  const dropouts = createMemo(() => {
    const { hands } = state;
    return hands ? Array.from({ length: hands.frames }, (_, i) => isEmpty(hands, i)) : [];
  });
  onMount(() => session.start());
  createEffect(() => {
    if (state.phase === 'lost') setActing(false);
  });

  return (
    <DropZone session={session}>
      <header>
        <h1>Dexterous world model</h1>
        <p>{state.settings?.prompt || 'Move a hand in a room, and watch what it does.'}</p>
      </header>
      <main aria-busy={state.phase === 'starting' || !!state.task || state.pending > 0}>
        <Status session={session} />
        <Switch>
          <Match when={acting() && state.phase === 'ready'}>
            <Editor session={session} onDone={() => setActing(false)} />
          </Match>
          <Match when={true}>
            <Panes session={session} clock={clock} />
            <Scrubber clock={clock} frames={frames()} fps={fps()} dropouts={dropouts()} />
          </Match>
        </Switch>
        <GenerateBar session={session} acting={acting()} onAct={setActing} />
        <div class="panels">
          <SourcesPanel session={session} />
          <SettingsPanel session={session} />
          <Show when={state.scene}>
            <TakeAway session={session} />
          </Show>
        </div>
      </main>
      <footer>
        <p>
          Everything runs in this page. Nothing you open or make is sent anywhere.
          <Show when={state.device}>{(device) => <> {runsOn(device())}</>}</Show>
          <Show when={state.model}>
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
