/** What stands beside the answer to show what it is worth: the simulator, and what one thing changed would have made. */
import { createEffect, on } from 'solid-js';
import { createStore, unwrap } from 'solid-js/store';
import type { Clip } from '../worker/protocol.ts';
import type { Session } from './session.ts';

export const ASIDES = ['truth', 'apart', 'words'] as const;
export type Aside = (typeof ASIDES)[number];

/** The simulator's picture, times the model's size, and its longer side at most. */
const LARGER = 3;
const LONGEST = 960;

/** In the words of the model's training, and untrue of a hand that does something. */
const OTHER_WORDS = 'The right hand reaches out and touches nothing.';

interface Besides {
  readonly shown: { readonly [aside in Aside]?: Clip };
  /** The simulator follows every answer. */
  readonly truthOn: boolean;
}

export function createBeside(session: Session) {
  const { state: page } = session;
  const [state, set] = createStore<Besides>({ shown: {}, truthOn: false });
  // They belong to the hands that are shown.
  createEffect(on([() => page.hands, () => page.model], () => set({ shown: {} }), { defer: true }));

  const makers: Record<Aside, () => Promise<Clip | undefined>> = {
    truth: () =>
      session.aside('Running the simulator', (call) => {
        const trajectory = unwrap(page).motions!.present;
        const { width, height } = trajectory.frames[0].intrinsics;
        const larger = LARGER * Math.max(width, height) > LONGEST ? 1 : LARGER;
        return call('truth', { trajectory, larger });
      }),
    apart: () =>
      session.aside('Drawing the hand held back', async (call) => {
        const { motions, settings } = unwrap(page);
        const trajectory = await call('apart', { trajectory: motions!.present });
        const clips = await call('condition', { trajectory });
        return (await call('generate', { ...clips, settings: settings! })).video;
      }),
    words: () =>
      session.aside('Drawing with other words', async (call) => {
        const { scene, hands, settings } = unwrap(page);
        const told = { ...settings!, prompt: OTHER_WORDS };
        return (await call('generate', { scene: scene!, hands: hands!, settings: told })).video;
      }),
  };
  const show = async (aside: Aside) => {
    const { hands } = unwrap(page);
    const clip = await makers[aside]();
    if (clip && hands === unwrap(page).hands) set({ shown: { ...state.shown, [aside]: clip } });
  };
  createEffect(
    on(
      () => page.generated,
      (made) => {
        if (made && state.truthOn && able('truth')) void show('truth');
      },
      { defer: true },
    ),
  );
  /** Whether there is anything to show: only made-up rooms can be simulated, and only some models take words. */
  const able = (aside: Aside) =>
    page.phase === 'ready' &&
    !page.run &&
    !!page.motions &&
    (aside === 'words'
      ? !!page.model?.takesText && !!page.plan?.fits
      : page.room?.seed !== undefined && !page.videos && (aside === 'truth' || !!page.plan?.fits));

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
