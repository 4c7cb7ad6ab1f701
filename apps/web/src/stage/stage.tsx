/**
 * The one stage. First a recording plays; then the room is there with the hand to take; then what the model draws of
 * what the hand did. Whoever takes the hand is back in the room: there is nothing to switch.
 */
import type { Frames } from '@dwm/media';
import type { TrajectoryFrame } from '@dwm/renderer';
import { createEffect, createSignal, Match, on, onCleanup, Show, Switch } from 'solid-js';
import { Recording } from '../gallery/recording.tsx';
import { GALLERY } from '../gallery/rooms.ts';
import type { Clock } from '../panes/clock.ts';
import { attachControls } from '../scene-editor/controls.ts';
import { hasHold } from '../scene-editor/guide.ts';
import { isSeen } from '../scene-editor/hand-rig.ts';
import type { Session } from '../state/session.ts';
import { Call } from './call.tsx';
import type { Hand } from './hand.ts';
import { LiveRoom, liveLens } from './live-room.tsx';
import { LiveSay, rateWords } from './live-say.tsx';
import { Picture } from './picture.tsx';
import { StageButton, Working } from './working.tsx';

/** `live`: what the model draws as the hand moves, with the room in a corner. */
type Showing = 'recording' | 'room' | 'live' | 'answer';

export function Stage(props: { session: Session; hand: Hand; clock: Clock }) {
  const { session, hand } = props;
  const { engine, live, room, run, tasks, queue } = session;
  const [look, setLook] = createSignal<(frame: TrajectoryFrame) => Promise<void>>();
  /** The room whose picture is there. */
  const [seen, setSeen] = createSignal<string | number>();
  const [hovered, setHovered] = createSignal(false);
  let surface!: HTMLDivElement;

  const ready = () => engine.state.phase === 'ready';
  const made = () => run.state.preview ?? run.state.generated?.video;
  /** The visitor's own video is no room to move in. */
  const answer = () => made() ?? (room.state.videos ? room.state.scene : undefined);
  /** A room of the gallery is on its way: its own recording is there at once. */
  const comes = () => {
    const { opening, info } = room.state;
    const seed = opening?.kind === 'synthetic' ? opening.seed : undefined;
    return seed !== info?.seed && GALLERY.some((known) => known.seed === seed);
  };
  const now = () => room.state.info?.seed ?? room.state.info?.name;
  /** What is seen is still the room of before. */
  const stale = () => seen() !== now();
  const showing = (): Showing => {
    if (comes()) return 'recording';
    if (answer() && (!hand.inRoom() || run.state.preview || room.state.videos)) return 'answer';
    if (live.state.shown) return 'live';
    if (!ready() || seen() === undefined) return 'recording';
    // A room with a recording of its own shows that meanwhile.
    return stale() && GALLERY.some((known) => known.seed === now()) ? 'recording' : 'room';
  };
  /** What plays until the room is there: the room's own recording where there is one. */
  const recording = () => {
    const ref = room.state.opening ?? room.state.ref;
    return ref.kind === 'synthetic' ? ref.seed : undefined;
  };
  const ownLens = () => room.state.motions!.present.frames[0].intrinsics;
  const software = () => engine.state.device?.software ?? true;
  const lens = () => liveLens(ownLens(), software());
  const able = () =>
    ready() &&
    (queue.waiting() === 0 || live.state.moving) &&
    !room.state.videos &&
    hand.rigs() !== undefined;

  // The worker of before is gone with its canvas.
  createEffect(
    on(
      () => engine.state.count,
      () => {
        setLook(undefined);
        setSeen(undefined);
      },
    ),
  );
  // A room is chosen further down the page.
  createEffect(() => {
    if (room.state.opening) surface.scrollIntoView({ block: 'nearest' });
  });
  let asked = 0;
  createEffect(() => {
    const draw = look();
    if (!draw || !ready() || !hand.rigs() || !room.state.info) return;
    hand.tracked();
    if (asked !== 0) return;
    // Many movements come between two pictures: the newest is drawn.
    asked = requestAnimationFrame(() => {
      asked = 0;
      const drawn = now();
      draw(hand.frame(liveLens(ownLens(), software(), showing() === 'live'))).then(
        () => setSeen(drawn),
        (error) => session.notice.show(error),
      );
    });
  });
  onCleanup(() => cancelAnimationFrame(asked));

  const listen = (element: HTMLDivElement) => {
    const taken = () => {
      if (!hand.tracked()) hand.gesture.begin();
    };
    const attached = attachControls(element, () => hand.rigs()!, lens, {
      change: hand.change,
      taken,
      let: () => hand.gesture.end(),
      nudged: () => {
        if (!hand.tracked()) hand.gesture.nudged();
      },
      hovers: setHovered,
    });
    onCleanup(attached);
  };
  // Before the controls see it: who takes the hand leaves the answer for the room.
  const enters = (event: Event) => {
    if (!able()) event.stopImmediatePropagation();
    else hand.enter();
  };
  const keys = (event: KeyboardEvent) => {
    if (event.code === 'KeyH' && !event.ctrlKey && !event.metaKey) hand.callBack();
  };
  const answered = () => showing() === 'answer' || showing() === 'live';
  const inRoom = () => (showing() === 'room' && !stale()) || showing() === 'live';
  const away = () => inRoom() && !hand.tracked() && !isSeen(hand.rigs()!.hand, hand.rigs()!.camera, lens());
  const holds = () => {
    const { guide, position } = hand.rigs()!.hand;
    return guide && hasHold(guide, position);
  };
  /** A motion that nothing was made of yet: it was opened, or its run was cancelled. */
  const waits = () => {
    const { motions, roomMotion, videos, scene } = room.state;
    return !run.state.generated && !!scene && (!!videos || (!!motions && motions.present !== roomMotion));
  };
  const size = (clip: Frames | undefined) => {
    return clip ? `${clip.width} × ${clip.height} pixels` : '';
  };
  const task = () => {
    const known = GALLERY.find(({ seed }) => seed === room.state.info?.seed);
    if (known) return `Drag the hand: ${known.name.toLowerCase()}`;
    return live.able() ? 'Drag the hand: the model follows' : 'Drag the hand, then let go';
  };

  return (
    <div
      class="stage"
      data-showing={showing()}
      data-blocks={live.state.blocks}
      data-together={live.state.together}
      data-held={live.state.held}
    >
      <div
        class="surface"
        ref={(element) => {
          surface = element;
          element.addEventListener('pointerdown', enters);
          // Over the recording there is nothing to take.
          element.addEventListener('pointermove', (event) => {
            if (!hand.rigs()) event.stopImmediatePropagation();
          });
          element.addEventListener('keydown', (event) => {
            if (moves(event)) enters(event);
          });
          listen(element);
        }}
        tabindex="0"
        role="application"
        aria-label="The room. Arrow keys drag the hand, Page Up and Page Down move it away and near, Z and X turn it, with Shift they bend it, G grasps or lets go, Shift with arrow keys looks around, W A S D walk, Q and E go down and up, H brings the hand back. Let go of the keys, and the model draws what the hand did."
        onKeyDown={keys}
      >
        <Show when={ready() && engine.state.count} keyed>
          {(_) => <LiveRoom session={session} onReady={(draw) => setLook(() => draw)} />}
        </Show>
        <Recording
          seed={recording()}
          label="A recording: what the model drew of a hand before"
          class="recording"
          shown={showing() === 'recording'}
        />
        <div class="answer" classList={{ shown: answered() }}>
          <Picture
            name="generated"
            label="Generated"
            clip={showing() === 'live' ? live.state.shown!.clip : answer()}
            frame={showing() === 'live' ? live.state.shown!.frame : props.clock.frame()}
          />
        </div>
        <Show
          when={inRoom() && able() && (showing() === 'live' || !hand.held()) && !hand.tracked() && !away()}
        >
          <Call rigs={hand.rigs()!} lens={lens()} hovered={hovered()} held={hand.held()} />
        </Show>
        <span class="tag">
          <Switch fallback="The room, before the model draws">
            <Match when={showing() === 'recording'}>A recording: 96 × 64 pixels</Match>
            <Match when={showing() === 'answer'}>Drawn by the model: {size(answer())}</Match>
            <Match when={showing() === 'live'}>
              Drawn live by the model: {size(live.state.shown!.clip)}
              {rateWords(live.state.rate, engine.state.device?.software)}
            </Match>
          </Switch>
        </span>
        <Show when={away()}>
          <StageButton class="away" onClick={hand.callBack}>
            The hand is out of view: bring it back
          </StageButton>
        </Show>
        <div class="say" role="status" aria-live="polite">
          <Switch fallback={<span>{task()}</span>}>
            <Match when={engine.state.phase === 'lost' || engine.state.phase === 'failed'}>
              <span>Stopped</span>
            </Match>
            <Match when={tasks.at('stage')}>
              <Working tasks={tasks} at="stage" label="Progress" />
            </Match>
            <Match
              when={
                !ready() ||
                (!answered() && stale()) ||
                (queue.waiting() > 0 && !tasks.at('beside') && !live.state.moving)
              }
            >
              <span>Getting ready …</span>
            </Match>
            <Match when={inRoom() && hand.tracked()}>
              {(tracked) => (
                <span>
                  {tracked().hands.left || tracked().hands.right
                    ? 'Your hand moves this one: press Record below'
                    : 'Hold your hand up, so that it is seen'}
                </span>
              )}
            </Match>
            <Match when={showing() === 'live'}>
              <LiveSay session={session} hand={hand} disabled={!able()} />
            </Match>
            <Match when={live.state.moving}>
              <span>The model begins to draw …</span>
            </Match>
            <Match when={hand.held()}>
              <span>
                {holds() ? 'The hand has hold: let go' : 'Let go'}, and the model draws what happens
              </span>
            </Match>
            <Match when={waits() && run.state.plan?.fits}>
              <StageButton class="main" onClick={() => session.generate()}>
                Draw what this hand does
              </StageButton>
            </Match>
            <Match when={room.state.videos}>
              <StageButton class="main" onClick={() => session.leaveVideos()}>
                Back to the room
              </StageButton>
            </Match>
            <Match when={showing() === 'answer'}>
              <StageButton
                class="main"
                disabled={!able()}
                onClick={() => {
                  hand.enter();
                  surface.focus();
                }}
              >
                Take the hand again
              </StageButton>
            </Match>
          </Switch>
        </div>
      </div>
    </div>
  );
}

const MOVING = /^(Arrow|Page|Key[WASDQEZXG]$)/;
const moves = ({ code, ctrlKey, metaKey }: KeyboardEvent) => !ctrlKey && !metaKey && MOVING.test(code);
