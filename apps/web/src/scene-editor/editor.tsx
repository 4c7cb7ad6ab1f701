/** The room to move in: the live picture, the hand to drag, and what to do with it. */
import type { Intrinsics, Trajectory } from '@dwm/renderer';
import { createEffect, createSignal, For, onCleanup, onMount, Show } from 'solid-js';
import { unwrap } from 'solid-js/store';
import { takeIn } from '../files/take-in.ts';
import { pickedFiles } from '../model-store/dropped.ts';
import type { Session } from '../state/session.ts';
import { type Tracked, trackedFrame } from '../tracking/tracked.ts';
import { Trackers } from '../tracking/trackers.tsx';
import { rigOf } from './camera-rig.ts';
import { attachControls, type Rigs } from './controls.ts';
import { drawGhostPlane } from './ghost-plane.ts';
import { calledBack, handBefore, isSeen, POSTURES, type Posture } from './hand-rig.ts';
import { PRESET_NAMES, PRESETS, type PresetName, presetTrajectory } from './presets.ts';
import { frameOf, type Recording, record } from './recorder.ts';

/** Pixels of the live picture's longer side; a software device draws a quarter of them. */
const LIVE_SIZE = { hardware: 720, software: 360 };

export function Editor(props: { session: Session; onDone: () => void }) {
  const { session } = props;
  const { state } = session;
  const settings = () => state.settings!;
  const camera = rigOf(unwrap(state).motions!.present.frames[0].camera);
  const [rigs, setRigs] = createSignal<Rigs>({ camera, hand: handBefore(camera, 'right') });
  const [recorded, setRecorded] = createSignal<number>();
  const [playing, setPlaying] = createSignal(false);
  const [tracked, setTracked] = createSignal<Tracked>();
  let recording: Recording | undefined;
  let surface!: HTMLDivElement;
  let live!: HTMLCanvasElement;
  let ghost!: HTMLCanvasElement;

  /** The lens of the motion there is, for a picture of the live size. */
  const lens = () => {
    const own = state.motions!.present.frames[0].intrinsics;
    const longer = state.device?.software ? LIVE_SIZE.software : LIVE_SIZE.hardware;
    const scale = longer / Math.max(own.width, own.height);
    const { fx, fy, cx, cy, width, height } = own;
    return {
      fx: fx * scale,
      fy: fy * scale,
      cx: cx * scale,
      cy: cy * scale,
      width: Math.round(width * scale),
      height: Math.round(height * scale),
    };
  };
  /** What is seen and recorded: the followed hands where there are any, else the one that is dragged. */
  const current = (intrinsics: Intrinsics) => {
    const followed = tracked();
    return followed ? trackedFrame(rigs().camera, followed, intrinsics) : frameOf(rigs(), intrinsics);
  };
  const runLens = () => ({ ...unwrap(state).motions!.present.frames[0].intrinsics });
  const look = (frame: Trajectory['frames'][number]) =>
    session
      .engine()
      .call('look', { frame: { ...unwrap(frame), intrinsics: lens() } })
      .catch((error) => session.complain(error));

  onMount(() => {
    const offscreen = live.transferControlToOffscreen();
    session
      .engine()
      .call('attachView', offscreen, { transfer: [offscreen] })
      .then(() => look(current(lens())))
      .catch((error) => session.complain(error));
    onCleanup(attachControls(surface, rigs, lens, (change) => setRigs(change), touch));
    surface.focus();
  });
  onCleanup(() => recording?.stop());

  // Followed hands change in every frame of the screen: what is asked for is kept, and takes the newest.
  let asked = 0;
  createEffect(() => {
    rigs();
    tracked();
    if (playing() || asked !== 0) return;
    asked = requestAnimationFrame(() => {
      asked = 0;
      if (playing()) return;
      look(current(lens()));
      drawGhostPlane(ghost, rigs(), lens(), tracked() === undefined);
    });
  });
  onCleanup(() => cancelAnimationFrame(asked));

  // The motion there is, played in the room.
  createEffect(() => {
    if (!playing()) return;
    let frame = 0;
    const { frames, fps } = unwrap(state).motions!.present;
    const timer = setInterval(() => look(frames[frame++ % frames.length]), 1000 / fps);
    onCleanup(() => clearInterval(timer));
  });

  /** Recording waits for this, so that it has the whole motion and nothing before it. */
  const touch = () => recording?.begin();
  createEffect(() => {
    const followed = tracked()?.hands;
    if (followed?.left || followed?.right) touch();
  });
  const away = () => !tracked() && !playing() && !isSeen(rigs().hand, rigs().camera, lens());
  const callBack = () =>
    setRigs(({ camera: same, hand }) => ({ camera: same, hand: calledBack(hand, same) }));
  const change = (by: Partial<Rigs['hand']>) => {
    touch();
    setRigs(({ camera: same, hand }) => ({ camera: same, hand: { ...hand, ...by } }));
  };

  const toggleRecording = () => {
    if (recording) {
      recording.stop();
      return;
    }
    if (blocked()) return;
    setPlaying(false);
    recording = record(
      () => current(runLens()),
      settings(),
      setRecorded,
      (trajectory) => {
        recording = undefined;
        setRecorded(undefined);
        if (trajectory) session.useMotion(trajectory);
      },
    );
    // A hand that is followed already needs no touch.
    if (tracked()?.hands.left || tracked()?.hands.right) touch();
  };
  const preset = (name: PresetName) => {
    const { hand, camera: from } = rigs();
    session.useMotion(presetTrajectory(name, hand, from, runLens(), settings()));
    setPlaying(true);
  };
  const blocked = () => !!state.task || recorded() !== undefined;
  const editorKeys = (event: KeyboardEvent) => {
    if (event.code === 'Escape') props.onDone();
    else if ((event.ctrlKey || event.metaKey) && event.code === 'KeyZ') {
      event.preventDefault();
      if (event.shiftKey) session.redo();
      else session.undo();
    } else if (event.ctrlKey || event.metaKey || event.target !== surface) return;
    else if (event.code === 'KeyR') toggleRecording();
    else if (event.code === 'KeyH') callBack();
  };

  return (
    <section class="editor" aria-label="Move the hand" onKeyDown={editorKeys}>
      <div
        class="surface"
        ref={surface}
        tabindex="0"
        role="application"
        aria-label="The room. Arrow keys move the hand, Page Up and Page Down move it away and near, Z and X turn it, G grasps, W A S D walk, Q and E go down and up, H brings the hand back, R records."
      >
        <canvas ref={live} width="360" height="240" />
        <canvas ref={ghost} class="ghost" />
        <Show when={recorded() !== undefined}>
          <span class="recording" role="status">
            {recorded() === 0
              ? 'Recording starts when you touch the hand'
              : `● ${recorded()} / ${settings().frames}`}
          </span>
        </Show>
        <Show when={away()}>
          <button
            type="button"
            class="away"
            on:pointerdown={(event) => event.stopPropagation()}
            onClick={callBack}
          >
            The hand is out of view: bring it back
          </button>
        </Show>
      </div>
      <p class="hint">
        Drag the hand; Shift or the wheel moves it near and away, Alt turns it. Drag beside it to orbit, WASD
        to walk, G to grasp, H to bring the hand back, R to record from its first touch on.
      </p>
      <div class="buttons">
        <button type="button" class="main" aria-pressed={recorded() !== undefined} onClick={toggleRecording}>
          {recorded() === undefined ? `Record ${(settings().frames / settings().fps).toFixed(1)} s` : 'Stop'}
        </button>
        <button type="button" aria-pressed={playing()} onClick={() => setPlaying(!playing())}>
          {playing() ? 'Stop playing' : 'Play the motion'}
        </button>
        <button
          type="button"
          disabled={blocked() || !state.motions?.past.length}
          onClick={() => session.undo()}
        >
          Undo
        </button>
        <button
          type="button"
          disabled={blocked() || !state.motions?.future.length}
          onClick={() => session.redo()}
        >
          Redo
        </button>
      </div>
      <div class="fields">
        <label>
          Grasp
          <input
            type="range"
            min="0"
            max="1"
            step="0.01"
            value={rigs().hand.grasp}
            onInput={(event) => {
              change({ grasp: event.currentTarget.valueAsNumber });
            }}
          />
        </label>
        <label>
          Posture
          <select
            value={rigs().hand.posture}
            onChange={(event) => {
              change({ posture: event.currentTarget.value as Posture });
            }}
          >
            <For each={POSTURES}>{(name) => <option value={name}>{name}</option>}</For>
          </select>
        </label>
        <label>
          Hand
          <select
            value={rigs().hand.side}
            onChange={(event) => {
              const side = event.currentTarget.value as 'left' | 'right';
              setRigs(({ camera: same }) => ({ camera: same, hand: handBefore(same, side) }));
            }}
          >
            <option value="right">right</option>
            <option value="left">left</option>
          </select>
        </label>
        <label>
          Load a motion (.json)
          <input
            type="file"
            accept=".json,application/json"
            onChange={async (event) => {
              const input = event.currentTarget;
              await takeIn(session, pickedFiles(input.files ?? []));
              input.value = '';
            }}
          />
        </label>
      </div>
      <Trackers session={session} onTracked={setTracked} />
      <fieldset class="buttons">
        <legend>Ready motions, from where the hand is</legend>
        <For each={PRESET_NAMES}>
          {(name) => (
            <button type="button" disabled={blocked()} onClick={() => preset(name)}>
              {PRESETS[name].label}
            </button>
          )}
        </For>
      </fieldset>
    </section>
  );
}
