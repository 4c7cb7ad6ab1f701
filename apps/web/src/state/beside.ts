/** What stands beside the answer to show what it is worth: the simulator, and what one thing changed would have made. */
import type { Frames } from '@dwm/media';
import { createEffect, on } from 'solid-js';
import { createStore } from 'solid-js/store';
import type { Session } from './session.ts';
import type { Task } from './tasks.ts';

export const ASIDES = ['truth', 'apart', 'words'] as const;
export type Aside = (typeof ASIDES)[number];

/** The simulator's picture, times the model's size, and its longer side at most. */
const LARGER = 3;
const LONGEST = 960;

/** In the words of the model's training, and untrue of a hand that does something. */
const OTHER_WORDS = 'The right hand reaches out and touches nothing.';

interface Besides {
  readonly shown: { readonly [aside in Aside]?: Frames };
  /** The simulator follows every answer. */
  readonly truthOn: boolean;
}

export function createBeside(session: Session) {
  const { engine, model, room, run } = session;
  const [state, set] = createStore<Besides>({ shown: {}, truthOn: false });
  // They belong to the hands that are shown.
  createEffect(
    on([() => room.state.hands, () => model.state.info], () => set({ shown: {} }), { defer: true }),
  );

  /** Changes nothing on the stage, and is seen beside it. */
  async function made(what: string, work: (task: Task) => Promise<Frames>): Promise<Frames | undefined> {
    let clip: Frames | undefined;
    await session.queue.attempt('beside', async (task) => {
      task.say(`${what} …`);
      clip = await work(task);
    });
    return clip;
  }

  const makers: Record<Aside, () => Promise<Frames | undefined>> = {
    truth: () =>
      made('Running the simulator', ({ call }) => {
        const trajectory = room.now().motions!.present;
        const { width, height } = trajectory.frames[0].intrinsics;
        const larger = LARGER * Math.max(width, height) > LONGEST ? 1 : LARGER;
        return call('truth', { trajectory, larger });
      }),
    apart: () =>
      made('Drawing the hand held back', async ({ call }) => {
        const trajectory = await call('apart', { trajectory: room.now().motions!.present });
        const clips = await call('condition', { trajectory });
        return (await call('generate', { ...clips, settings: run.now().settings! })).video;
      }),
    words: () =>
      made('Drawing with other words', async ({ call }) => {
        const { scene, hands } = room.now();
        const told = { ...run.now().settings!, prompt: OTHER_WORDS };
        return (await call('generate', { scene: scene!, hands: hands!, settings: told })).video;
      }),
  };
  const show = async (aside: Aside) => {
    const { hands } = room.now();
    const clip = await makers[aside]();
    if (clip && hands === room.now().hands) set({ shown: { ...state.shown, [aside]: clip } });
  };
  createEffect(
    on(
      () => run.state.generated,
      (answer) => {
        if (answer && state.truthOn && able('truth')) void show('truth');
      },
      { defer: true },
    ),
  );
  /** Whether there is an answer to show it beside: only made-up rooms can be simulated, and only some models take words. */
  const able = (aside: Aside) =>
    engine.state.phase === 'ready' &&
    !!run.state.generated &&
    !!room.state.motions &&
    (aside === 'words'
      ? !!model.state.info?.takesText && !!run.state.plan?.fits
      : room.state.info?.seed !== undefined &&
        !room.state.videos &&
        (aside === 'truth' || !!run.state.plan?.fits));

  return {
    state,
    /** Whether anything is shown. */
    any: () => ASIDES.some((aside) => state.shown[aside] !== undefined),
    able,
    /** Shows one of them, or takes it away again. */
    toggle(aside: Aside) {
      const on = state.shown[aside] === undefined;
      if (aside === 'truth') set({ truthOn: on });
      if (on) void show(aside);
      else set({ shown: { ...state.shown, [aside]: undefined } });
    },
    words: OTHER_WORDS,
  };
}

export type Beside = ReturnType<typeof createBeside>;
