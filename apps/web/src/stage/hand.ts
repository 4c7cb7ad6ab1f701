/** The hand that a visitor takes, and the eye that sees it: where they are, what is being dragged, and what comes of it. */
import type { Intrinsics } from '@dwm/renderer';
import { createEffect, createSignal, on, onCleanup } from 'solid-js';
import { approachOf, beginning } from '../scene-editor/beginning.ts';
import type { Change, Rigs } from '../scene-editor/controls.ts';
import { calledBack } from '../scene-editor/hand-rig.ts';
import { frameOf } from '../scene-editor/recorder.ts';
import type { Session } from '../state/session.ts';
import { type Tracked, trackedFrame } from '../tracking/tracked.ts';
import { createGesture } from './gesture.ts';
import { type Drag, doesAsSaid, hasMoved, motionOf } from './motion-of.ts';

export function createHand(session: Session) {
  const { live, room, run } = session;
  const [rigs, setRigs] = createSignal<Rigs>();
  const [held, setHeld] = createSignal(false);
  const [tracked, setTracked] = createSignal<Tracked>();
  /** The visitor is in the room, and not before what the model made of it. */
  const [inRoom, setInRoom] = createSignal(false);
  /** The camera that the room began with; another one is the visitor's. */
  let ownCamera: Rigs['camera'] | undefined;

  const begin = () => {
    const { roomMotion, info } = room.now();
    if (!roomMotion || !info) return;
    const start = beginning(roomMotion, info);
    ownCamera = start.camera;
    setRigs(start);
  };
  // Another room, or another size of it.
  createEffect(on([() => room.state.info, () => room.state.roomMotion], begin));
  // What the model made is looked at before anything else.
  createEffect(
    on(
      () => run.state.generated,
      (made) => setInRoom(made === undefined || live.state.moving),
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
    // A live room is as the hand left it.
    if (!live.state.shown) callBack();
  };
  const answer = (samples: readonly Rigs[]) => {
    setHeld(false);
    const drag: Drag = { samples, ownCamera: samples.every(({ camera }) => camera === ownCamera) };
    if (hasMoved(drag))
      void session.answer(motionOf(drag, room.now().roomMotion!), doesAsSaid(drag)).then((answered) => {
        if (!answered) callBack();
      });
    else if (run.state.generated) setInRoom(false);
  };
  const modelSees = (now: Rigs) => frameOf(now, room.now().motions!.present.frames[0].intrinsics);
  const gesture = createGesture(
    () => rigs()!,
    () => run.state.settings!.fps,
    () => {
      setHeld(true);
      if (!live.able()) return;
      live.take(approachOf(rigs()!), () => modelSees(rigs()!));
    },
    (samples) => {
      if (!live.state.moving) return answer(samples);
      setHeld(false);
      live.letGo(samples.map(modelSees));
    },
  );
  onCleanup(gesture.stop);

  return {
    rigs,
    /** Where the room's own motion has it. */
    begin,
    /** The room as it was, with the hand where it began. */
    async restart() {
      if (await live.restart()) begin();
    },
    /** What was made, from its beginning. */
    watch: () => setInRoom(false),
    held,
    tracked,
    /** Where a camera or a headset sees the visitor's own hands; undefined ends it. */
    follow(seen: Tracked | undefined) {
      if (seen && !tracked()) enter();
      setTracked(seen);
    },
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
