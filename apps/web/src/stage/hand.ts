/** The hand that a visitor takes, and the eye that sees it: where they are, what is being dragged, and what comes of it. */
import type { Intrinsics } from '@dwm/renderer';
import { createEffect, createSignal, on, onCleanup } from 'solid-js';
import { rigOf } from '../scene-editor/camera-rig.ts';
import type { Change, Rigs } from '../scene-editor/controls.ts';
import { guideOf } from '../scene-editor/guide.ts';
import { calledBack, handBefore, handHolding } from '../scene-editor/hand-rig.ts';
import { frameOf } from '../scene-editor/recorder.ts';
import type { Session } from '../state/session.ts';
import { type Tracked, trackedFrame } from '../tracking/tracked.ts';
import { createGesture } from './gesture.ts';
import { type Drag, doesAsPlanned, hasMoved, motionOf } from './motion-of.ts';

export function createHand(session: Session) {
  const { room, run } = session;
  const [rigs, setRigs] = createSignal<Rigs>();
  const [held, setHeld] = createSignal(false);
  const [tracked, setTracked] = createSignal<Tracked>();
  /** The visitor is in the room, and not before what the model made of it. */
  const [inRoom, setInRoom] = createSignal(false);
  /** The camera that the room began with; another one is the visitor's. */
  let ownCamera: Rigs['camera'] | undefined;

  const begin = () => {
    const { planned, info } = room.now();
    if (!planned || !info) return;
    const guide = guideOf({ trajectory: planned, acts: info.acts });
    const camera = rigOf(planned.frames[guide?.approach.length ?? 0].camera);
    ownCamera = camera;
    setRigs({ camera, hand: guide ? handHolding(guide) : handBefore(camera, 'right') });
  };
  // Another room, or another size of it.
  createEffect(on([() => room.state.info, () => room.state.planned], begin));
  // What the model made is looked at before anything else.
  createEffect(
    on(
      () => run.state.generated,
      (made) => setInRoom(made === undefined),
    ),
  );

  /** Back to what it held, or before the eye. */
  const callBack = () => {
    const lens = room.now().motions?.present.frames[0].intrinsics;
    setRigs((now) => (now && lens ? { ...now, hand: calledBack(now.hand, now.camera, lens) } : now));
  };
  const enter = () => {
    if (inRoom()) return;
    setInRoom(true);
    callBack();
  };
  const answer = (samples: readonly Rigs[]) => {
    setHeld(false);
    const drag: Drag = { samples, ownCamera: samples.every(({ camera }) => camera === ownCamera) };
    if (hasMoved(drag))
      void session.answer(motionOf(drag, room.now().planned!), doesAsPlanned(drag)).then((answered) => {
        if (!answered) callBack();
      });
    else if (run.state.generated) setInRoom(false);
  };
  const gesture = createGesture(
    () => rigs()!,
    () => run.state.settings!.fps,
    () => setHeld(true),
    answer,
  );
  onCleanup(gesture.stop);

  return {
    rigs,
    /** Where the room's own motion has it. */
    begin,
    held,
    tracked,
    follow: setTracked,
    inRoom,
    enter,
    gesture,
    change: (by: Change) => setRigs((now) => now && by(now)),
    callBack,
    /** What is seen: the followed hands where there are any, else the one that is dragged. */
    frame(intrinsics: Intrinsics) {
      const now = rigs()!;
      const followed = tracked();
      return followed ? trackedFrame(now.camera, followed, intrinsics) : frameOf(now, intrinsics);
    },
  };
}

export type Hand = ReturnType<typeof createHand>;
