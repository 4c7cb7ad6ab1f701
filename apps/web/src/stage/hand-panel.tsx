/** The hand in detail: how it is held, motions that are ready, recordings, and the visitor's own hands. */
import { createEffect, createSignal, For, onCleanup } from 'solid-js';
import { freed, type HandRig, handBefore, POSTURES, type Posture } from '../scene-editor/hand-rig.ts';
import { PRESET_NAMES, PRESETS, type PresetName, presetTrajectory } from '../scene-editor/presets.ts';
import { type Recording, record } from '../scene-editor/recorder.ts';
import type { Session } from '../state/session.ts';
import { Trackers } from '../tracking/trackers.tsx';
import type { Hand } from './hand.ts';

export function HandPanel(props: { session: Session; hand: Hand }) {
  const { session, hand } = props;
  const { room, run } = session;
  const [recorded, setRecorded] = createSignal<number>();
  let recording: Recording | undefined;
  const blocked = () => session.busy() || !!room.state.videos || recorded() !== undefined;
  const lens = () => ({ ...room.now().motions!.present.frames[0].intrinsics });
  const free = (by: (now: HandRig) => HandRig) => {
    hand.enter();
    hand.change(({ camera, hand: now }) => ({ camera, hand: by(freed(now)) }));
  };
  const toggleRecording = () => {
    if (recording) {
      recording.stop();
      return;
    }
    hand.enter();
    recording = record(
      () => hand.frame(lens()),
      run.state.settings!,
      setRecorded,
      (trajectory) => {
        recording = undefined;
        setRecorded(undefined);
        if (trajectory) void session.answer(trajectory);
      },
    );
    if (followed()) recording.begin();
  };
  const followed = () => !!(hand.tracked()?.hands.left || hand.tracked()?.hands.right);
  createEffect(() => {
    if (followed()) recording?.begin();
  });
  onCleanup(() => recording?.stop());
  const preset = (name: PresetName) => {
    const { hand: from, camera } = hand.rigs()!;
    const open = from.guide ? handBefore(camera, from.side) : from;
    void session.answer(presetTrajectory(name, open, camera, lens(), run.state.settings!));
  };
  const rig = () => hand.rigs()?.hand;
  return (
    <details class="panel">
      <summary>The hand</summary>
      <div class="fields">
        <label>
          Grasp
          <input
            type="range"
            min="0"
            max="1"
            step="0.01"
            disabled={blocked()}
            value={rig()?.grasp ?? 0}
            onInput={(event) => {
              const grasp = event.currentTarget.valueAsNumber;
              free((now) => ({ ...now, grasp }));
            }}
          />
        </label>
        <label>
          Posture
          <select
            disabled={blocked()}
            value={rig()?.posture ?? 'wrap'}
            onChange={(event) => {
              const posture = event.currentTarget.value as Posture;
              free((now) => ({ ...now, posture }));
            }}
          >
            <For each={POSTURES}>{(name) => <option value={name}>{name}</option>}</For>
          </select>
        </label>
        <label>
          Hand
          <select
            disabled={blocked()}
            value={rig()?.side ?? 'right'}
            onChange={(event) => {
              const side = event.currentTarget.value as 'left' | 'right';
              hand.enter();
              hand.change(({ camera }) => ({ camera, hand: handBefore(camera, side) }));
            }}
          >
            <option value="right">right</option>
            <option value="left">left</option>
          </select>
        </label>
        <button type="button" disabled={blocked()} onClick={() => hand.begin()}>
          Back to what it held
        </button>
      </div>
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
      <div class="buttons">
        <button
          type="button"
          disabled={blocked() || !room.state.motions?.past.length}
          onClick={() => session.motions.undo()}
        >
          Undo
        </button>
        <button
          type="button"
          disabled={blocked() || !room.state.motions?.future.length}
          onClick={() => session.motions.redo()}
        >
          Redo
        </button>
      </div>
      <Trackers session={session} onTracked={hand.follow} />
      <button
        type="button"
        aria-pressed={recorded() !== undefined}
        disabled={recorded() === undefined && (blocked() || !hand.tracked())}
        onClick={toggleRecording}
      >
        {recorded() === undefined
          ? `Record ${((run.state.settings?.frames ?? 0) / (run.state.settings?.fps ?? 1)).toFixed(1)} s`
          : recorded() === 0
            ? 'Recording starts when a hand is seen'
            : `Stop: ${recorded()} of ${run.state.settings?.frames}`}
      </button>
    </details>
  );
}
