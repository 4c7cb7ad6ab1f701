/** What there is to do in a live room: while the hand is held, and once it is let go. */
import { Show } from 'solid-js';
import type { Session } from '../state/session.ts';
import type { Hand } from './hand.ts';
import { StageButton } from './working.tsx';

export function LiveSay(props: { session: Session; hand: Hand; disabled: boolean }) {
  return (
    <Show when={!props.hand.held()} fallback={<span>The model follows your hand</span>}>
      <span class="wide-only">Drag on, or</span>
      <StageButton disabled={props.disabled} onClick={() => props.hand.restart()}>
        Start again
      </StageButton>
      <Show when={props.session.run.state.generated}>
        <StageButton disabled={props.disabled} onClick={props.hand.watch}>
          Watch it
        </StageButton>
      </Show>
    </Show>
  );
}

/** How fast it is, and on what. */
export const rateWords = (rate: number | undefined, software: boolean | undefined) =>
  rate === undefined ? '' : `, ${rate.toFixed(1)} frames a second${software ? ' in software' : ''}`;
